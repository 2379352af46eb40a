"""The URL paths of this SageMaker: moto's, with the responses of this package."""

from moto.sagemaker.urls import url_bases as moto_url_bases

from local_aws.sagemaker.responses import LocalSageMakerResponse

url_bases = moto_url_bases
url_paths = {"{0}/$": LocalSageMakerResponse.dispatch}
