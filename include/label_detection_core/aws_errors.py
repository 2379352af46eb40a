"""Which of AWS's errors pass by themselves. Asked after botocore's own retries are used up.

The throttling codes are those that botocore's retry modes know (botocore.retries.standard). They count whatever the
HTTP status: in Rekognition's service model ThrottlingException is a fault of the service, so it comes with 500.
"""

from __future__ import annotations

from http import HTTPStatus

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    HTTPClientError,
    IncompleteReadError,
    MetadataRetrievalError,
)
from botocore.exceptions import (
    ConnectionError as LostConnectionError,
)

THROTTLES = frozenset(
    {
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "RequestThrottled",
        "RequestThrottledException",
        "RequestLimitExceeded",
        "TooManyRequestsException",
        "ProvisionedThroughputExceededException",
        "LimitExceededException",  # of a call in _LIMITED_BY_RATE only
        "BandwidthLimitExceeded",
        "SlowDown",
        "EC2ThrottledException",
        "PriorRequestNotComplete",
        "TransactionInProgressException",
    }
)
#: Calls whose LimitExceededException is about their rate. Of any other call, such as StartProjectVersion, it names a
#: quota of the account, which does not pass by itself.
_LIMITED_BY_RATE = frozenset({"DetectCustomLabels"})
#: S3 hands on what KMS says to it, with this before the code.
_OF_KMS = "KMS."
#: No answer, or half of one; or the instance's own metadata service had a hiccup.
_LOST = (LostConnectionError, HTTPClientError, IncompleteReadError, CredentialRetrievalError, MetadataRetrievalError)
_PASSING = frozenset(
    {
        "RequestTimeout",
        "RequestTimeoutException",
        "InternalError",
        "InternalServerError",
        "InternalException",
        "ConditionalRequestConflict",  # S3: another request on the same key at the same moment
        "OperationAborted",
    }
)


def code(error: BaseException) -> str:
    """A service's error code, or the exception's name."""
    return str(error.response["Error"].get("Code", "")) if isinstance(error, ClientError) else type(error).__name__


def message(error: BaseException) -> str:
    """A service's message, or the exception's."""
    return str(error.response["Error"].get("Message", "")) if isinstance(error, ClientError) else str(error)


def status(error: ClientError) -> int:
    """The HTTP status, 0 when the answer had none."""
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def is_throttle(error: BaseException) -> bool:
    """Whether the service asks to be called less often."""
    return isinstance(error, ClientError) and is_throttle_code(code(error), error.operation_name)


def is_throttle_code(error_code: str, operation: str) -> bool:
    """Whether an error code of an operation, such as `DetectCustomLabels`, asks to be called less often."""
    if error_code == "LimitExceededException":
        return operation in _LIMITED_BY_RATE
    return error_code.removeprefix(_OF_KMS) in THROTTLES


def is_not_implemented(error: BaseException) -> bool:
    """Whether the service does not know the call, or one of its headers: S3s other than AWS's answer 501."""
    return isinstance(error, ClientError) and (
        code(error) == "NotImplemented" or status(error) == HTTPStatus.NOT_IMPLEMENTED
    )


def is_transient(error: BaseException) -> bool:
    """Whether the same call can be expected to work later: throttles, 5xx but 501, time-outs, lost connections."""
    if isinstance(error, ClientError):
        if is_not_implemented(error):
            return False
        passing = code(error).removeprefix(_OF_KMS) in _PASSING
        return is_throttle(error) or passing or status(error) >= HTTPStatus.INTERNAL_SERVER_ERROR
    return isinstance(error, _LOST)


#: What a call to AWS can raise.
AWS_ERRORS = (ClientError, BotoCoreError)
