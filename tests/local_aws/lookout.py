"""A small client for Amazon Lookout for Vision, because botocore no longer has one."""

from typing import Any
from uuid import uuid4

import requests
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.local_aws.conftest import Aws

ARN = "arn:aws:lookoutvision:us-east-1:123456789012:model/label-detection/1"
MODEL = "/2020-11-20/projects/label-detection/models/1"


class Lookout:
    """Sends signed requests and returns the answers."""

    def __init__(self, aws: Aws, region: str = "us-east-1"):
        self._endpoint = aws.endpoint
        self._region = region

    def send(
        self, method: str, path: str, body: bytes = b"", content_type: str = "", token: str = ""
    ) -> requests.Response:
        headers = {"Content-Type": content_type} if content_type else {}
        headers |= {"X-Amzn-Client-Token": token} if token else {}
        url = f"{self._endpoint}{path}"
        request = AWSRequest(method, url, data=body, headers=headers)
        SigV4Auth(Credentials("local", "local"), "lookoutvision", self._region).add_auth(request)
        return requests.request(method, url, data=body, headers=dict(request.headers), timeout=20)

    def describe(self, model: str = MODEL) -> requests.Response:
        return self.send("GET", model)

    def start(self, body: str = '{"MinInferenceUnits": 1}', model: str = MODEL) -> requests.Response:
        return self.send("POST", f"{model}/start", body.encode(), "application/json", uuid4().hex)

    def stop(self, model: str = MODEL) -> requests.Response:
        return self.send("POST", f"{model}/stop", token=uuid4().hex)

    def detect(self, image: bytes, content_type: str = "image/png", model: str = MODEL) -> requests.Response:
        return self.send("POST", f"{model}/detect", image, content_type)

    def status(self) -> str:
        return str(self.describe().json()["ModelDescription"]["Status"])


def error(answer: requests.Response) -> tuple[int, str]:
    """Status and code of an error answer. Also checks that the message is where the real service has it."""
    if answer.ok:
        return answer.status_code, ""
    said: dict[str, Any] = answer.json()
    assert said["Message"]
    return answer.status_code, answer.headers["x-amzn-ErrorType"]
