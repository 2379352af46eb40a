"""The URL paths of this Rekognition: moto's, with the responses of this package."""

from moto.rekognition.urls import url_bases as moto_url_bases

from local_aws.rekognition.responses import LocalRekognitionResponse

url_bases = moto_url_bases
url_paths = {"{0}/$": LocalRekognitionResponse.dispatch}
