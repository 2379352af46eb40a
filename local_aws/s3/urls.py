"""The URL paths of this S3: moto's, with the responses of this package and with line breaks allowed in keys."""

from moto.s3.urls import url_bases as moto_url_bases
from moto.s3.urls import url_paths as moto_url_paths

from local_aws.s3.responses import LocalS3Response

url_bases = moto_url_bases
url_paths = {
    path.replace("(?P<key_name>.+)", r"(?P<key_name>[^\x00]+)"): getattr(LocalS3Response, handler.__name__)
    for path, handler in moto_url_paths.items()
}
