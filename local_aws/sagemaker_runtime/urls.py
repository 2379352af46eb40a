"""The URL paths of this SageMaker runtime: moto's, with the responses of this package."""

from moto.sagemakerruntime.urls import url_bases as moto_url_bases
from moto.sagemakerruntime.urls import url_paths as moto_url_paths

from local_aws.sagemaker_runtime.responses import LocalSageMakerRuntimeResponse

url_bases = moto_url_bases
url_paths = dict.fromkeys(moto_url_paths, LocalSageMakerRuntimeResponse.dispatch)
