"""Which AWS errors are temporary."""

from __future__ import annotations

import pytest
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    CredentialRetrievalError,
    EndpointConnectionError,
    IncompleteReadError,
    NoCredentialsError,
    ReadTimeoutError,
    SSLError,
)

from label_detection_core.aws_errors import code, is_throttle, is_transient, message

URL = "https://s3.amazonaws.com"


def answer(status: int, name: str, operation: str = "PutObject") -> ClientError:
    return ClientError(
        {"Error": {"Code": name, "Message": "words"}, "ResponseMetadata": {"HTTPStatusCode": status}},  # type: ignore[typeddict-item]
        operation,
    )


@pytest.mark.parametrize(
    ("error", "transient", "throttle"),
    [
        pytest.param(answer(503, "SlowDown"), True, True, id="SlowDown"),
        pytest.param(answer(400, "ThrottlingException"), True, True, id="throttled"),
        pytest.param(answer(400, "ProvisionedThroughputExceededException"), True, True, id="over the model's rate"),
        *(
            pytest.param(answer(status, name), True, True, id=f"{name} with {status}")
            for name in ("ThrottlingException", "SlowDown", "TooManyRequestsException", "KMS.ThrottlingException")
            for status in (400, 429, 500, 503)
        ),
        pytest.param(answer(400, "LimitExceededException", "DetectCustomLabels"), True, True, id="over a limit"),
        pytest.param(answer(400, "LimitExceededException", "StartProjectVersion"), False, False, id="over a quota"),
        pytest.param(answer(501, "NotImplemented"), False, False, id="not implemented"),
        pytest.param(answer(501, ""), False, False, id="501 of another S3"),
        pytest.param(answer(400, "KMS.DisabledException"), False, False, id="a disabled key"),
        pytest.param(answer(400, "KMS.InternalException"), True, False, id="a temporary error of KMS"),
        pytest.param(answer(500, "InternalError"), True, False, id="500"),
        pytest.param(answer(502, ""), True, False, id="502 of a proxy"),
        pytest.param(answer(400, "RequestTimeout"), True, False, id="the request took too long"),
        pytest.param(answer(403, "AccessDenied"), False, False, id="access denied"),
        pytest.param(answer(404, "NoSuchBucket"), False, False, id="no such bucket"),
        pytest.param(answer(400, "ExpiredToken"), False, False, id="expired token"),
        pytest.param(EndpointConnectionError(endpoint_url=URL), True, False, id="connection refused"),
        pytest.param(ConnectTimeoutError(endpoint_url=URL), True, False, id="connect time-out"),
        pytest.param(ReadTimeoutError(endpoint_url=URL), True, False, id="read time-out"),
        pytest.param(ConnectionClosedError(endpoint_url=URL), True, False, id="connection closed"),
        pytest.param(SSLError(endpoint_url=URL, error=OSError("reset")), True, False, id="TLS"),
        pytest.param(IncompleteReadError(actual_bytes=1, expected_bytes=2), True, False, id="half an answer"),
        pytest.param(CredentialRetrievalError(provider="iam", error_msg="?"), True, False, id="metadata hiccup"),
        pytest.param(NoCredentialsError(), False, False, id="no credentials"),
        pytest.param(ValueError("ours"), False, False, id="a bug"),
    ],
)
def test_an_error_is_temporary_or_permanent(error: Exception, transient: bool, throttle: bool) -> None:
    assert (is_transient(error), is_throttle(error)) == (transient, throttle)


def test_an_errors_text_is_the_services_message() -> None:
    assert (code(answer(500, "InternalError")), message(answer(500, "InternalError"))) == ("InternalError", "words")
    assert code(NoCredentialsError()) == "NoCredentialsError"
    assert isinstance(NoCredentialsError(), BotoCoreError)
