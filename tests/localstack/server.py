"""Two AWSes as processes: LocalStack without Docker beside the embedded models, and the embedded AWS alone."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import requests
from botocore.config import Config

from demo.pictures import examples
from sandbox.environment import cleaned, free_ports
from sandbox.processes import Family
from sandbox.waiting import wait_until
from sandbox.world import call_control_page

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient

#: The Python with LocalStack; `make test-localstack` sets the variable.
PYTHON = "LABEL_DETECTION_LOCALSTACK"
#: LocalStack reads the account id from the access key. The embedded models belong to the same account.
ACCOUNT = "123456789012"
REGION = "us-east-1"
#: Options of the embedded AWS that make its models fast.
MODEL_OPTIONS = {"rate": "0", "latency": "0", "start-seconds": "2", "stop-seconds": "1"}
_SERVICES = "s3,sqs,sns,events,cloudformation,iam,scheduler,cloudwatch,sts"
_START_SECONDS = 120
MODELS_URL = "AWS_ENDPOINT_URL_REKOGNITION"
_MODEL_ARN = "AIRFLOW__LABEL_DETECTION__MODEL_ARN"


class Maker(StrEnum):
    """Who implements S3, SQS, SNS and EventBridge."""

    LOCALSTACK = "LocalStack"
    EMBEDDED = "the embedded AWS"


@dataclass(frozen=True)
class Aws:
    """An AWS with the embedded models. `environment` points boto3 to both, and names the model."""

    maker: Maker
    environment: Mapping[str, str]

    def client(self, service: str) -> Any:
        """A boto3 client of a service."""
        return self._session.client(  # type: ignore[call-overload]
            service, endpoint_url=self.environment["AWS_ENDPOINT_URL"], config=Config(proxies={})
        )

    @cached_property
    def _session(self) -> boto3.Session:
        return boto3.Session(
            self.environment["AWS_ACCESS_KEY_ID"], self.environment["AWS_SECRET_ACCESS_KEY"], region_name=REGION
        )

    @cached_property
    def s3(self) -> S3Client:
        """An S3 client."""
        found: S3Client = self.client("s3")
        return found

    @cached_property
    def sqs(self) -> SQSClient:
        """An SQS client."""
        found: SQSClient = self.client("sqs")
        return found

    @property
    def model_arn(self) -> str:
        """The ARN of the embedded model."""
        return self.environment[_MODEL_ARN]

    def control(self, page: str, method: str = "GET", body: object = None) -> Any:
        """Call a control page of the embedded models: `/_local/<page>`."""
        return call_control_page(self.environment[MODELS_URL], page, method, body)


@contextmanager
def serve(maker: Maker, folder: Path) -> Iterator[Aws]:
    """Run an AWS and the embedded models. All processes end with the context, also if this process is killed.

    :raises sandbox.processes.ProcessDiedError: a process did not start; the message has the end of its log.
    """
    family = Family(folder / "logs")
    try:
        endpoint = _start_localstack(family, folder / "localstack") if maker is Maker.LOCALSTACK else None
        models = _start_models(family, folder, endpoint)
        yield Aws(
            maker,
            {
                "AWS_ACCESS_KEY_ID": ACCOUNT,
                "AWS_SECRET_ACCESS_KEY": "local",
                "AWS_DEFAULT_REGION": REGION,
                "AWS_ENDPOINT_URL": endpoint or models["AWS_ENDPOINT_URL"],
                MODELS_URL: models["AWS_ENDPOINT_URL"],
                _MODEL_ARN: models[_MODEL_ARN],
                "AIRFLOW_CONN_AWS_DEFAULT": "aws://",
            },
        )
    finally:
        family.end()


def _start_localstack(family: Family, folder: Path) -> str:
    """Start LocalStack and wait until it is ready; return its endpoint URL."""
    folder.mkdir(parents=True)
    (port,) = free_ports(1)
    address = f"127.0.0.1:{port}"
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "NO_PROXY": "*",
        "GATEWAY_LISTEN": address,
        "LOCALSTACK_HOST": address,  # the host in queue URLs: LocalStack's own host name would need a DNS server
        "SQS_ENDPOINT_STRATEGY": "path",
        "DNS_ADDRESS": "0",  # disables the DNS server
        "SERVICES": _SERVICES,
        "EAGER_SERVICE_LOADING": "1",
        "SKIP_SSL_CERT_DOWNLOAD": "1",
        "DISABLE_EVENTS": "1",
    }
    family.start("localstack", [_python(), "-m", "localstack.runtime.main"], environment)
    wait_until(lambda: _answers(f"http://{address}/_localstack/health"), _START_SECONDS, "LocalStack", family.check)
    return f"http://{address}"


def _python() -> str:
    python = os.environ.get(PYTHON, "")
    if not Path(python).is_file():
        raise FileNotFoundError(f"{PYTHON} names no Python with LocalStack ({python!r}): run make test-localstack")
    return python


def _answers(url: str) -> bool:
    with requests.Session() as session:
        session.trust_env = False
        try:
            return session.get(url, timeout=5).ok
        except requests.RequestException:
            return False


def _start_models(family: Family, folder: Path, endpoint: str | None) -> dict[str, str]:
    """Start the embedded AWS without buckets and queue; return its environment variables.

    :param endpoint: the S3 endpoint from which the models read pictures; None: the embedded S3.
    """
    examples(folder / "examples")
    env_file = folder / "aws.env"
    options = {"port": "0", "env-file": str(env_file), "examples": str(folder / "examples"), **MODEL_OPTIONS}
    if endpoint:
        options["pictures-endpoint"] = endpoint
    words = [word for name, value in options.items() for word in (f"--{name}", value)]
    family.start("models", [sys.executable, "-m", "local_aws", "--models-only", *words], cleaned())
    wait_until(env_file.exists, _START_SECONDS, "the embedded models", family.check)
    return dict(line.split("=", 1) for line in env_file.read_text().splitlines() if "=" in line)
