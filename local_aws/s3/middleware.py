"""Checks of S3 that precede the access to an object: the bucket's Region, and the support of conditional requests."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from moto.s3.models import s3_backends
from moto.utilities.utils import get_partition

from local_aws.faults import StartResponse, WsgiApp
from local_aws.oddities import Conditions, OdditiesInForce
from local_aws.operations import Operation, Request, error_answer, operation_of

_WRITES = frozenset({"PutObject", "CopyObject", "UploadPartCopy", "CompleteMultipartUpload", "DeleteObject"})
_CONDITIONS = (
    "HTTP_IF_MATCH",
    "HTTP_IF_NONE_MATCH",
    "HTTP_X_AMZ_COPY_SOURCE_IF_MATCH",
    "HTTP_X_AMZ_COPY_SOURCE_IF_NONE_MATCH",
    "HTTP_X_AMZ_COPY_SOURCE_IF_MODIFIED_SINCE",
    "HTTP_X_AMZ_COPY_SOURCE_IF_UNMODIFIED_SINCE",
    "HTTP_X_AMZ_IF_MATCH_LAST_MODIFIED_TIME",
    "HTTP_X_AMZ_IF_MATCH_SIZE",
)
#: S3 answers these operations whatever Region they are signed for.
_ANY_REGION = frozenset({"ListBuckets", "CreateBucket", "GetBucketLocation"})


class S3Middleware:
    """Refuses, redirects or changes requests to S3 before moto handles them."""

    def __init__(self, app: WsgiApp, oddities: OdditiesInForce, account_id: str):
        self._app = app
        self._oddities = oddities
        self._account_id = account_id

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        request = Request.of(environ, b"")
        if request.service != "s3":
            return self._app(environ, start_response)
        operation = operation_of(request)
        bucket = request.path.removeprefix("/").partition("/")[0]
        region = self._region_of(bucket, request.region)
        if region not in ("", request.region) and operation.name not in _ANY_REGION:
            return _redirect(operation, request, region, start_response)
        if operation.name in _WRITES and self._oddities.now.conditions is not Conditions.OBEYED:
            conditions = [name for name in _CONDITIONS if name in environ]
            if conditions and self._oddities.now.conditions is Conditions.REFUSED:
                return _refuse(operation, request, start_response)
            for name in conditions:
                del environ[name]
        return self._app(environ, start_response)

    def _region_of(self, bucket: str, signed_for: str) -> str:
        """The bucket's Region; empty if the bucket does not exist."""
        found = s3_backends[self._account_id][get_partition(signed_for)].buckets.get(bucket)
        return found.region_name if found else ""


def _redirect(operation: Operation, request: Request, region: str, start_response: StartResponse) -> Iterable[bytes]:
    """S3's answer 301 to a request that was sent to another Region than the bucket's."""
    message = (
        "The bucket you are attempting to access must be addressed using the specified endpoint. "
        "Please send all future requests to this endpoint."
    )
    answer = error_answer(operation, request.method, 301, "PermanentRedirect", message)
    start_response("301 Moved Permanently", [*answer.headers, ("x-amz-bucket-region", region)])
    return [answer.body]


def _refuse(operation: Operation, request: Request, start_response: StartResponse) -> Iterable[bytes]:
    message = "A header you provided implies functionality that is not implemented"
    answer = error_answer(operation, request.method, 501, "NotImplemented", message)
    start_response("501 Not Implemented", list(answer.headers))
    return [answer.body]
