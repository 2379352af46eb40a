"""The response of InvokeEndpoint, the container's JSON; moto answers the other operation."""

import json
from typing import cast
from urllib.parse import unquote

from moto.core.common_types import TYPE_RESPONSE
from moto.sagemakerruntime.responses import SageMakerRuntimeResponse

from local_aws.sagemaker_runtime.models import LocalSageMakerRuntimeBackend


class LocalSageMakerRuntimeResponse(SageMakerRuntimeResponse):
    """Reads request bodies as bytes, because they are images."""

    use_raw_body = True

    def invoke_endpoint(self) -> TYPE_RESPONSE:
        """InvokeEndpoint."""
        backend = cast(LocalSageMakerRuntimeBackend, self.sagemakerruntime_backend)
        name = unquote(self.path.split("/")[2])
        answer, variant = backend.invoke(name, self.headers.get("Content-Type", ""), self.raw_body)
        headers = {"Content-Type": "application/json", "x-Amzn-Invoked-Production-Variant": variant}
        return 200, headers, json.dumps(answer)
