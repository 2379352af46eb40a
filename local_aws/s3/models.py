"""moto's S3 state with a lock: moto frees an object's bytes on overwrite and delete while others read them."""

import threading
from typing import Any

from moto.s3 import notifications
from moto.s3.models import S3Backend, s3_backends

from local_aws.s3 import cloud_formation
from local_aws.s3.events import event_bridge_message, s3_event
from local_aws.s3.troubles import Troubles


class LocalS3Backend(S3Backend):
    """moto's S3; whoever reads or changes objects holds ``lock``, one for all accounts.

    ``troubles``: the objects that it refuses to give.
    """

    lock = threading.RLock()
    troubles = Troubles()

    @property
    def _url_module(self) -> Any:
        from local_aws.s3 import urls  # not at the top: urls needs this module

        return urls


def install(troubles: Troubles) -> None:
    """Make moto serve this S3; before its first request.

    The two event functions have no seam in moto, so they are replaced by name.
    """
    LocalS3Backend.troubles = troubles
    s3_backends.backend = LocalS3Backend
    cloud_formation.install()
    notifications._get_s3_event = s3_event
    notifications._send_event_bridge_message = event_bridge_message
