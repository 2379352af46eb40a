"""The cost of an image in a consumer, by model type: some services get the bytes, others read S3 themselves."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import boto3
import requests
from botocore.exceptions import ClientError

from bench.alone import Aws
from bench.drain_process import Orders
from bench.measures import Measure
from label_detection_core.config.model_types import endpoint_name, model_of

#: Models by their names on the control pages, Rekognition's first; then the number of images and the bytes of each.
MODELS = ("1", "label-detection-object-detection", "lookoutvision")
_IMAGES, _BYTES = 300, 1_000_000


def measure(aws: Aws, name: str) -> dict[str, Any]:
    """The cost of one draining process with a model without a rate limit and without latency."""
    arn = _switch_on(aws, name)
    aws.upload(_IMAGES, _BYTES)
    orders = Orders(**(aws.orders | {"model_arn": arn}), images_per_second=1_000_000)
    return {"kind": model_of(arn).type.name} | aws.drain(orders)


def rows(samples: list[dict[str, Any]]) -> list[Measure]:
    """The table's rows: each other model type compared with Rekognition, run by run."""
    usual, *others = (
        [s for s in samples if s["kind"] == kind] for kind in ("rekognition", "sagemaker", "lookoutvision")
    )
    found = []
    for mine in filter(None, others):
        for what, measured in (("CPU per image", "cpu"), ("peak memory", "peak_bytes")):
            ratios = tuple(one[measured] / other[measured] for one, other in zip(mine, usual, strict=False))
            against = "Rekognition, which reads S3 itself; images of 1 MB, 32 threads"
            found.append(Measure("models", f"{mine[0]['kind']}: {what}", ratios, "times", against))
    return found


def _switch_on(aws: Aws, name: str) -> str:
    """Start the model with this name on the control pages; returns its ARN."""
    endpoint = aws.environment["AWS_ENDPOINT_URL"]
    url = f"{endpoint}/_local/model/{name}"
    arn = str(requests.get(url, timeout=30).json()["arn"])
    if ":sagemaker:" in arn:  # an endpoint that the control page creates would have another name
        session = boto3.Session("local", "local", region_name=aws.environment["AWS_DEFAULT_REGION"])
        with suppress(ClientError):  # the endpoint exists
            session.client("sagemaker", endpoint_url=endpoint).create_endpoint(
                EndpointName=endpoint_name(model_of(arn)), EndpointConfigName=name
            )
    requests.put(url, json={"status": "RUNNING", "rate": 0, "latency": 0}, timeout=30).raise_for_status()
    return arn
