"""The URL paths of this Scheduler: moto's, with the responses of this package."""

from moto.scheduler.urls import url_bases as moto_url_bases
from moto.scheduler.urls import url_paths as moto_url_paths

from local_aws.scheduler.responses import LocalSchedulerResponse

url_bases = moto_url_bases
url_paths = dict.fromkeys(moto_url_paths, LocalSchedulerResponse.dispatch)
