"""Which of AWS's errors pass by themselves. Asked after botocore's own retries are used up.

The throttling codes are those that botocore's retry modes know (botocore.retries.standard).
"""

from __future__ import annotations

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
        "LimitExceededException",
        "BandwidthLimitExceeded",
        "SlowDown",
        "EC2ThrottledException",
        "PriorRequestNotComplete",
        "TransactionInProgressException",
    }
)
#: No answer, or half of one; or the instance's own metadata service had a hiccup.
_LOST = (LostConnectionError, HTTPClientError, IncompleteReadError, CredentialRetrievalError, MetadataRetrievalError)
_PASSING = frozenset(
    {
        "RequestTimeout",
        "RequestTimeoutException",
        "InternalError",
        "InternalServerError",
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
    return isinstance(error, ClientError) and code(error) in THROTTLES


def is_transient(error: BaseException) -> bool:
    """Whether the same call can be expected to work later: throttles, 5xx, time-outs, lost connections."""
    if isinstance(error, ClientError):
        return is_throttle(error) or code(error) in _PASSING or status(error) >= 500
    return isinstance(error, _LOST)


#: What a call to AWS can raise.
AWS_ERRORS = (ClientError, BotoCoreError)
