"""moto's S3 state with a lock.

When an object is overwritten or deleted, moto frees its bytes even if another thread is reading them.
"""

import threading
from typing import Any

from moto.s3 import notifications
from moto.s3.models import S3Backend, s3_backends

from local_aws.s3 import cloud_formation
from local_aws.s3.events import event_bridge_message, s3_event
from local_aws.s3.troubles import Troubles


class LocalS3Backend(S3Backend):
    """moto's S3. Code that reads or changes objects must hold ``lock``, which all accounts share.

    ``troubles``: the objects that S3 refuses to serve.
    """

    lock = threading.RLock()
    troubles = Troubles()

    @property
    def _url_module(self) -> Any:
        from local_aws.s3 import urls  # imported here because urls imports this module

        return urls


def install(troubles: Troubles) -> None:
    """Make moto serve this S3; call it before moto's first request.

    moto has no extension point for its two event functions, so they are replaced by name.
    """
    LocalS3Backend.troubles = troubles
    s3_backends.backend = LocalS3Backend
    cloud_formation.install()
    notifications._get_s3_event = s3_event
    notifications._send_event_bridge_message = event_bridge_message
