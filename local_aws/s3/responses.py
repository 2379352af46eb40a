"""moto's S3 answers under one lock, with conditions on copies and deletes, and with refused objects."""

from typing import Any

from moto.core.common_types import TYPE_RESPONSE
from moto.s3.exceptions import MissingKey, PreconditionFailed, S3ClientError

from local_aws.operations import Operation, error_answer
from local_aws.s3.annotations import AnnotatedS3Response
from local_aws.s3.copy_source import CopySource
from local_aws.s3.models import LocalS3Backend
from local_aws.s3.troubles import (
    KEY_DIGEST,
    SOURCE_KEY_DIGEST,
    RefusedError,
    Trouble,
    check_head,
    check_read,
    remember_key,
)


class LocalS3Response(AnnotatedS3Response):
    """One request to S3. The lock makes each request atomic: no other request sees a part of its changes."""

    def key_response(self, request: Any, full_url: str, headers: Any) -> TYPE_RESPONSE:
        """Answer a request for an object."""
        with LocalS3Backend.lock:
            try:
                return super().key_response(request, full_url, headers)
            except RefusedError as refused:
                answer = error_answer(
                    Operation("s3", "", "s3"), request.method, refused.status, refused.code, refused.message
                )
                return answer.status, dict(answer.headers), answer.body

    def bucket_response(self, request: Any, full_url: str, headers: Any) -> TYPE_RESPONSE:
        """Answer a request for a bucket."""
        with LocalS3Backend.lock:
            return super().bucket_response(request, full_url, headers)

    def copy_object(self) -> TYPE_RESPONSE:
        """CopyObject, with the conditions x-amz-copy-source-if-match, If-Match and If-None-Match."""
        source = CopySource.parse(self.headers["x-amz-copy-source"])
        wanted = self.headers.get("x-amz-copy-source-if-match")
        stored = self.backend.get_object(source.bucket, source.key, version_id=source.version_id)
        if stored is not None:
            check_read(stored, LocalS3Backend.troubles, self.headers.get(SOURCE_KEY_DIGEST))
            if wanted is not None and not _matches(wanted, stored.etag):
                raise PreconditionFailed("x-amz-copy-source-If-Match")
        self._check_target()
        answer = super().copy_object()
        self._remember_key()
        return answer

    def put_object(self) -> TYPE_RESPONSE:
        """PutObject, with or without a customer's key (SSE-C)."""
        answer = super().put_object()
        self._remember_key()
        return answer

    def head_object(self, bucket_name: str, query: dict[str, Any], key_name: str, headers: Any) -> TYPE_RESPONSE:
        """HeadObject. Raises RefusedError for an object that S3 refuses."""
        if (stored := self._stored()) is not None:
            check_head(stored, LocalS3Backend.troubles, headers.get(KEY_DIGEST))
        return super().head_object(bucket_name, query, key_name, headers)

    def get_object(self) -> TYPE_RESPONSE:
        """GetObject. Raises RefusedError for an object that S3 refuses."""
        if (stored := self._stored()) is not None:
            check_read(stored, LocalS3Backend.troubles, self.headers.get(KEY_DIGEST))
        return super().get_object()

    def get_object_tagging(self) -> TYPE_RESPONSE:
        """GetObjectTagging. Raises RefusedError if the caller may not read the object."""
        if (stored := self._stored()) is not None and LocalS3Backend.troubles.of(stored) is Trouble.DENIED:
            check_head(stored, LocalS3Backend.troubles, None)
        return super().get_object_tagging()

    def _stored(self) -> Any:
        """The object that the request names; None if it does not exist."""
        version_id = self.querystring.get("versionId", [None])[0]
        try:
            return self.backend.get_object(self.bucket_name, self.parse_key_name(), version_id=version_id)
        except S3ClientError:
            return None

    def _remember_key(self) -> None:
        stored = self.backend.get_object(self.bucket_name, self.parse_key_name())
        if stored is not None:
            remember_key(stored, self.headers.get(KEY_DIGEST))

    def delete_object(self) -> TYPE_RESPONSE:
        """DeleteObject, with the condition If-Match.

        With If-Match, AWS answers 412 for another eTag and 404 for an absent key. With ``If-Match: *``, AWS answers
        412 for a delete marker. https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-deletes.html
        """
        if self.headers.get("If-Match") == "*":
            key_name = self.parse_key_name()
            if self.backend.get_object(self.bucket_name, key_name) is None:
                if self.backend.get_bucket(self.bucket_name).keys.getlist(key_name):
                    raise PreconditionFailed("If-Match")
                raise MissingKey(key=key_name)
            self.headers = {k: v for k, v in self.headers.items() if k.lower() != "if-match"}
        return super().delete_object()

    def _check_target(self) -> None:
        """Check the conditions on the object that a copy would replace.

        https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html
        """
        must_match, must_not = self.headers.get("If-Match"), self.headers.get("If-None-Match")
        if must_match is None and must_not is None:
            return
        key_name = self.parse_key_name()
        present = self.backend.get_object(self.bucket_name, key_name)
        if must_match is not None:
            if present is None:
                raise MissingKey(key=key_name)
            if not _matches(must_match, present.etag):
                raise PreconditionFailed("If-Match")
        if must_not is not None and present is not None and _matches(must_not, present.etag):
            raise PreconditionFailed("If-None-Match")


def _matches(wanted: str, etag: str) -> bool:
    return wanted == "*" or wanted.strip('"') == etag.strip('"')
