"""Annotations of S3 objects (an S3 feature of 2026 that moto lacks): put, get, delete, list and copy.


https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObjectAnnotation.html
"""

import hashlib
from typing import Any
from urllib.parse import parse_qs, urlparse
from xml.sax.saxutils import escape

from moto.core.common_types import TYPE_RESPONSE
from moto.s3.exceptions import MissingKey
from moto.s3.models import FakeKey
from moto.s3.responses import S3Response

from local_aws.s3.copy_source import CopySource

_NOT_THERE: TYPE_RESPONSE = (
    404,
    {},
    b"<Error><Code>NoSuchAnnotation</Code><Message>It does not exist on this object.</Message></Error>",
)


class AnnotatedS3Response(S3Response):
    """moto's S3 answers, for objects with annotations: named byte strings."""

    def _key_response(self, request: Any, full_url: str) -> TYPE_RESPONSE:
        query = parse_qs(urlparse(full_url).query, keep_blank_values=True)
        if "annotation" not in query:
            return super()._key_response(request, full_url)
        key_name = self.parse_key_name()
        stored = self.backend.get_object(self.parse_bucket_name_from_url(request, full_url), key_name)
        if stored is None:
            raise MissingKey(key=key_name)
        name = query.get("annotationName", [""])[0]
        if request.method == "PUT":
            _of(stored)[name] = request.data
            return 200, {"ETag": f'"{hashlib.md5(request.data, usedforsecurity=False).hexdigest()}"'}, b""
        if request.method == "DELETE":
            _of(stored).pop(name, None)
            return 204, {}, b""
        if name:
            return (200, {}, _of(stored)[name]) if name in _of(stored) else _NOT_THERE
        entries = "".join(
            f"<AnnotationEntry><AnnotationName>{escape(one)}</AnnotationName><Size>{len(payload)}</Size></AnnotationEntry>"
            for one, payload in _of(stored).items()
        )
        answer = f"<ListObjectAnnotationsResult><Annotations>{entries}</Annotations></ListObjectAnnotationsResult>"
        return 200, {}, answer.encode()

    def copy_object(self) -> TYPE_RESPONSE:
        """CopyObject: copies the annotations as well, unless x-amz-object-annotation-directive is EXCLUDE."""
        source = CopySource.parse(self.headers["x-amz-copy-source"])
        stored = self.backend.get_object(source.bucket, source.key, version_id=source.version_id)
        taken = dict(_of(stored)) if stored is not None else {}
        answer = super().copy_object()
        copy = self.backend.get_object(self.bucket_name, self.parse_key_name())
        if copy is not None and self.headers.get("x-amz-object-annotation-directive") != "EXCLUDE":
            copy.annotations = taken  # type: ignore[attr-defined]
        return answer


def _of(stored: FakeKey) -> dict[str, bytes]:
    """An object's annotations, stored on the object itself, so that they are deleted with it."""
    if not hasattr(stored, "annotations"):
        stored.annotations = {}  # type: ignore[attr-defined]
    found: dict[str, bytes] = stored.annotations  # type: ignore[attr-defined]
    return found
