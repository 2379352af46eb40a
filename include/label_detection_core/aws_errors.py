"""Tells transient AWS errors from permanent ones. botocore's own retries come first.

The throttling codes are those of botocore's retry modes (botocore.retries.standard). A throttling code counts with any
HTTP status: Rekognition's service model makes ThrottlingException a fault of the service, so its status is 500.
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
        "LimitExceededException",  # only for the calls in _LIMITED_BY_RATE
        "BandwidthLimitExceeded",
        "SlowDown",
        "EC2ThrottledException",
        "PriorRequestNotComplete",
        "TransactionInProgressException",
    }
)
#: Calls whose LimitExceededException is about the request rate. For other calls, such as StartProjectVersion, it is
#: about a quota of the account, and is permanent.
_LIMITED_BY_RATE = frozenset({"DetectCustomLabels"})
#: S3 passes errors of KMS on, with this prefix before the error code.
_OF_KMS = "KMS."
#: No answer, an incomplete answer, or no credentials from the instance's metadata service.
_LOST = (LostConnectionError, HTTPClientError, IncompleteReadError, CredentialRetrievalError, MetadataRetrievalError)
_PASSING = frozenset(
    {
        "RequestTimeout",
        "RequestTimeoutException",
        "InternalError",
        "InternalServerError",
        "InternalException",
        "ConditionalRequestConflict",  # S3: another request changes the same key at the same moment
        "OperationAborted",
    }
)


def code(error: BaseException) -> str:
    """The error code of the service; for other exceptions, the name of the class."""
    return str(error.response["Error"].get("Code", "")) if isinstance(error, ClientError) else type(error).__name__


def message(error: BaseException) -> str:
    """The error message of the service; for other exceptions, their text."""
    return str(error.response["Error"].get("Message", "")) if isinstance(error, ClientError) else str(error)


def status(error: ClientError) -> int:
    """The HTTP status of the answer; 0 if it has none."""
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def is_throttle(error: BaseException) -> bool:
    """Whether the service throttled the call."""
    return isinstance(error, ClientError) and is_throttle_code(code(error), error.operation_name)


def is_throttle_code(error_code: str, operation: str) -> bool:
    """Whether this error code means throttling for this operation, such as `DetectCustomLabels`."""
    if error_code == "LimitExceededException":
        return operation in _LIMITED_BY_RATE
    return error_code.removeprefix(_OF_KMS) in THROTTLES


def is_not_implemented(error: BaseException) -> bool:
    """Whether the service does not implement the call or one of its headers. S3 servers other than AWS answer 501."""
    return isinstance(error, ClientError) and (
        code(error) == "NotImplemented" or status(error) == HTTPStatus.NOT_IMPLEMENTED
    )


def is_transient(error: BaseException) -> bool:
    """Whether the call may succeed later: throttling, 5xx other than 501, time-outs and lost connections."""
    if isinstance(error, ClientError):
        if is_not_implemented(error):
            return False
        passing = code(error).removeprefix(_OF_KMS) in _PASSING
        return is_throttle(error) or passing or status(error) >= HTTPStatus.INTERNAL_SERVER_ERROR
    return isinstance(error, _LOST)


#: The exceptions that a call to AWS raises.
AWS_ERRORS = (ClientError, BotoCoreError)
