"""Find the service and the operation of an HTTP request, and build an error answer in the service's format."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qs
from uuid import uuid4
from xml.sax.saxutils import escape

from botocore.exceptions import UnknownServiceError

from local_aws.service_models import service_model, service_shapes

_CREDENTIAL = re.compile(r"Credential=[^/]+/\d+/([^/]+)/([^/]+)/aws4_request")

# Services whose signing name differs from the name of their boto3 client: signing name, client.
_CLIENTS = {"monitoring": "cloudwatch"}
# SageMaker and its runtime share a signing name. Only the runtime is a REST service.
_REST_CLIENTS = {"sagemaker": "sagemaker-runtime"}

# In S3, method, level and query decide the operation. First match wins: (method, is key, query part, operation).
_S3_OPERATIONS = (
    ("GET", False, "list-type=2", "ListObjectsV2"),
    ("GET", False, "versions", "ListObjectVersions"),
    ("GET", False, "notification", "GetBucketNotificationConfiguration"),
    ("GET", False, "location", "GetBucketLocation"),
    ("GET", False, "requestPayment", "GetBucketRequestPayment"),
    ("GET", False, "", "ListObjects"),
    ("HEAD", False, "", "HeadBucket"),
    ("PUT", False, "notification", "PutBucketNotificationConfiguration"),
    ("PUT", False, "versioning", "PutBucketVersioning"),
    ("PUT", False, "policy", "PutBucketPolicy"),
    ("PUT", False, "", "CreateBucket"),
    ("POST", False, "delete", "DeleteObjects"),
    ("DELETE", False, "", "DeleteBucket"),
    ("GET", True, "tagging", "GetObjectTagging"),
    ("GET", True, "attributes", "GetObjectAttributes"),
    ("GET", True, "annotationName", "GetObjectAnnotation"),
    ("GET", True, "annotation", "ListObjectAnnotations"),
    ("PUT", True, "annotation", "PutObjectAnnotation"),
    ("GET", True, "uploadId", "ListParts"),
    ("GET", True, "", "GetObject"),
    ("HEAD", True, "", "HeadObject"),
    ("PUT", True, "tagging", "PutObjectTagging"),
    ("PUT", True, "uploadId", "UploadPart"),
    ("PUT", True, "", "PutObject"),
    ("POST", True, "uploads", "CreateMultipartUpload"),
    ("POST", True, "uploadId", "CompleteMultipartUpload"),
    ("DELETE", True, "tagging", "DeleteObjectTagging"),
    ("DELETE", True, "uploadId", "AbortMultipartUpload"),
    ("DELETE", True, "", "DeleteObject"),
)


@dataclass(frozen=True)
class Request:
    """An HTTP request as a middleware receives it: decoded path, undecoded query, lower-case header names."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes

    @classmethod
    def of(cls, environ: dict[str, Any], body: bytes) -> "Request":
        """Read a WSGI environment, whose path is UTF-8 decoded as Latin-1 (PEP 3333)."""
        return cls(
            environ["REQUEST_METHOD"],
            environ.get("PATH_INFO", "").encode("latin-1", "replace").decode("utf-8", "replace"),
            environ.get("QUERY_STRING", ""),
            {
                name.removeprefix("HTTP_").replace("_", "-").lower(): value
                for name, value in environ.items()
                if name.startswith("HTTP_")
            },
            body,
        )

    @property
    def service(self) -> str:
        """The service that the request is signed for; empty if it is not signed."""
        credential = _CREDENTIAL.search(self.headers.get("authorization", ""))
        return credential[2] if credential else ""

    @property
    def region(self) -> str:
        """The Region that the request is signed for; empty if it is not signed."""
        credential = _CREDENTIAL.search(self.headers.get("authorization", ""))
        return credential[1] if credential else ""


@dataclass(frozen=True)
class Operation:
    """A service's signing name, the operation's name in the service model, and the service's protocol."""

    service: str
    name: str
    protocol: str  # "json", "query", "rest-json" or "s3"


@dataclass(frozen=True)
class ErrorAnswer:
    """An HTTP error answer in a service's format."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


def operation_of(request: Request) -> Operation:
    """The operation that a request calls; its name is empty if the operation is unknown here."""
    service = request.service
    if target := request.headers.get("x-amz-target"):
        prefix, _, name = target.rpartition(".")
        return Operation(service or _service_of_target(prefix), name, "json")
    action = _action(request)
    if action:
        return Operation(service, action, "query")
    if not service and (name := _rest_operation("lookoutvision", request)):  # no S3 operation has such a path
        return Operation("lookoutvision", name, "rest-json")
    if service in ("", "s3"):
        return Operation("s3", _s3_operation(request), "s3")
    return Operation(service, _rest_operation(service, request), "rest-json")


def error_answer(operation: Operation, method: str, status: int, code: str, message: str) -> ErrorAnswer:
    """An error answer in the format that the service's clients parse."""
    request_id = str(uuid4())
    headers: tuple[tuple[str, str], ...]
    kind = "Receiver" if status >= 500 else "Sender"
    if operation.protocol == "s3":
        text = f"<Code>{escape(code)}</Code><Message>{escape(message)}</Message><RequestId>{request_id}</RequestId>"
        # As in AWS, the answer to a HEAD has no body: the client gets the status alone.
        body = b"" if method == "HEAD" else f'<?xml version="1.0" encoding="UTF-8"?><Error>{text}</Error>'.encode()
        headers = (("Content-Type", "application/xml"), ("x-amz-request-id", request_id))
    elif operation.protocol == "query":
        text = f"<Type>{kind}</Type><Code>{escape(code)}</Code><Message>{escape(message)}</Message>"
        body = f"<ErrorResponse><Error>{text}</Error><RequestId>{request_id}</RequestId></ErrorResponse>".encode()
        headers = (("Content-Type", "text/xml"), ("x-amzn-RequestId", request_id))
    else:
        content = {"Message": message} if operation.service == "lookoutvision" else {"__type": code, "message": message}
        body = json.dumps(content).encode()
        headers = (
            ("Content-Type", "application/x-amz-json-1.1"),
            ("x-amzn-ErrorType", code),
            ("x-amzn-RequestId", request_id),
        )
    return ErrorAnswer(status, headers, body)


def modelled_status(operation: Operation, code: str) -> int | None:
    """The HTTP status of an error code in the service's model; None if the model lacks the code.

    An error without a status in the model has 500 if it is marked as a fault, else 400.
    """
    service = _CLIENTS.get(operation.service, operation.service)
    if operation.protocol == "rest-json":
        service = _REST_CLIENTS.get(service, service)
    return error_statuses(service).get(code)


@lru_cache
def error_statuses(client: str) -> Mapping[str, int]:
    """The HTTP statuses of a service's modelled errors, by code; empty for an unknown service.

    ``client``: the service's name in boto3.
    """
    try:
        shapes = service_shapes(client)
    except UnknownServiceError:
        return {}
    statuses = {}
    for name, shape in shapes.items():
        if shape.get("exception") or "error" in shape:
            error = shape.get("error", {})
            status = error.get("httpStatusCode") or (500 if shape.get("fault") else 400)
            statuses[name] = statuses[error.get("code", name)] = int(status)
    return statuses


def _service_of_target(prefix: str) -> str:
    """The service of an unsigned JSON request, from the prefix of its target: RekognitionService, AmazonSQS."""
    return prefix.removeprefix("Amazon").removesuffix("Service").lower()


def _action(request: Request) -> str:
    for text in (request.query, request.body.decode("latin-1") if request.body.startswith(b"Action=") else ""):
        if "Action=" in text:
            return parse_qs(text).get("Action", [""])[0]
    return ""


def _s3_operation(request: Request) -> str:
    bucket, _, key = request.path.removeprefix("/").partition("/")
    if not bucket:
        return "ListBuckets" if request.method == "GET" else ""
    parts = request.query.split("&")
    names = {part.partition("=")[0] for part in parts}
    plain = not names & _s3_subresources()  # bucket?acl is another operation than bucket
    for method, is_key, part, name in _S3_OPERATIONS:
        fits = part in names or part in parts if part else plain
        if method == request.method and is_key == bool(key) and fits:
            copies = "x-amz-copy-source" in request.headers and name in ("PutObject", "UploadPart")
            return {"PutObject": "CopyObject", "UploadPart": "UploadPartCopy"}[name] if copies else name
    return ""


@lru_cache
def _s3_subresources() -> frozenset[str]:
    """The query parameters that select an operation of S3, from botocore's model."""
    model = service_model("s3")
    queries = [model.operation_model(name).http["requestUri"].partition("?")[2] for name in model.operation_names]
    names = {part.partition("=")[0] for query in queries for part in query.split("&")}
    return frozenset(names - {"", "x-id"})


def _rest_operation(service: str, request: Request) -> str:
    for method, pattern, name in _rest_operations(service):
        if method == request.method and pattern.fullmatch(request.path):
            return name
    return ""


@lru_cache
def _rest_operations(service: str) -> tuple[tuple[str, re.Pattern[str], str], ...]:
    """Method, path pattern and name of a REST service's operations, from botocore's model of the service."""
    try:
        model = service_model(_REST_CLIENTS.get(service, service))
    except UnknownServiceError:
        return ()
    found = []
    for name in model.operation_names:
        http = model.operation_model(name).http
        path = re.sub(r"\\\{[^}]+\\\}", "[^/]+", re.escape(http["requestUri"].partition("?")[0]))
        found.append((http["method"], re.compile(path), name))
    return tuple(found)
