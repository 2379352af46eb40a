"""Objects that S3 refuses to serve: access is denied, or the caller lacks or may not use the encryption key.


https://docs.aws.amazon.com/AmazonS3/latest/userguide/ServerSideEncryptionCustomerKeys.html
https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

from moto.kms.models import kms_backends
from moto.s3.utils import ARCHIVE_STORAGE_CLASSES
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

#: The headers with the digest of a customer's key: for the requested object, and for the source of a copy.
KEY_DIGEST = "x-amz-server-side-encryption-customer-key-md5"
SOURCE_KEY_DIGEST = "x-amz-copy-source-server-side-encryption-customer-key-md5"


class Trouble(StrEnum):
    """The reason for which S3 refuses an object."""

    DENIED = "denied"
    KMS_DISABLED = "kms-disabled"
    KMS_DENIED = "kms-denied"


class InvalidTroubleError(ValueError):
    """The JSON is not a list of refused objects; the message names the member and the error."""


class TroubledObject(BaseModel, frozen=True, extra="forbid"):
    """An object that S3 refuses, even if it is not uploaded yet, and the reason."""

    bucket: Annotated[str, Field(min_length=1)]
    key: Annotated[str, Field(min_length=1)]
    trouble: Trouble


_LIST = TypeAdapter(list[TroubledObject])


class Troubles:
    """The objects that S3 refuses now."""

    def __init__(self) -> None:
        self._troubles: dict[tuple[str, str], Trouble] = {}

    def replace(self, value: Any) -> None:
        """Replace the whole list by the decoded JSON. Raises InvalidTroubleError and then changes nothing."""
        try:
            objects = _LIST.validate_python(value)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(part) for part in first["loc"])
            raise InvalidTroubleError(f"{place or 'the body'}: {first['msg']}, not {first['input']!r}") from error
        self._troubles = {(entry.bucket, entry.key): entry.trouble for entry in objects}

    def describe(self) -> list[dict[str, str]]:
        """The refused objects as JSON."""
        troubles = dict(self._troubles)
        return [{"bucket": bucket, "key": key, "trouble": trouble} for (bucket, key), trouble in troubles.items()]

    def of(self, stored: Any) -> Trouble | None:
        """The reason to refuse this object, from the control page or from the state of its KMS key; None: no reason."""
        trouble = self._troubles.get((stored.bucket_name, stored.name))
        return trouble or (Trouble.KMS_DISABLED if _kms_key_is_off(stored) else None)


class RefusedError(Exception):
    """S3 refuses an object, with this status, code and message."""

    def __init__(self, status: int, code: str, message: str):
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


def remember_key(stored: Any, digest: str | None) -> None:
    """Record the digest of the customer's key that an object is stored with; None without such a key."""
    stored.local_key_digest = digest


def check_head(stored: Any, troubles: Troubles, digest: str | None) -> None:
    """Raise RefusedError if S3 refuses HEAD of the object.

    ``digest``: the digest of the customer's key in the request, or None.
    """
    if troubles.of(stored) is Trouble.DENIED:
        raise RefusedError(403, "AccessDenied", "Access Denied")
    wanted = getattr(stored, "local_key_digest", None)
    if wanted == digest:
        return
    if wanted is None:
        raise RefusedError(400, "InvalidRequest", "The encryption parameters are not applicable to this object.")
    if digest is not None:
        raise RefusedError(403, "AccessDenied", "Access Denied")
    message = (
        "The object was stored using a form of Server Side Encryption. "
        "The correct parameters must be provided to retrieve the object."
    )
    raise RefusedError(400, "InvalidRequest", message)


def check_read(stored: Any, troubles: Troubles, digest: str | None) -> None:
    """Raise RefusedError if S3 refuses GET of the object; moto itself refuses archived objects."""
    check_head(stored, troubles, digest)
    trouble, key = troubles.of(stored), stored.kms_key_id or "the key of the object"
    if trouble is Trouble.KMS_DENIED:
        message = f"The caller is not authorized to perform: kms:Decrypt on resource: {key}"
        raise RefusedError(403, "AccessDenied", message)
    if trouble is Trouble.KMS_DISABLED:
        raise RefusedError(400, "KMS.DisabledException", f"{key} is disabled.")


def is_archived(stored: Any) -> bool:
    """Whether the object must be restored before it can be read."""
    restored = 'ongoing-request="false"' in stored.response_dict.get("x-amz-restore", "")
    return stored.storage_class in ARCHIVE_STORAGE_CLASSES and not restored


def _kms_key_is_off(stored: Any) -> bool:
    """Whether the object is encrypted with a key of moto's KMS that is not enabled."""
    if stored.encryption != "aws:kms" or not stored.kms_key_id:
        return False
    for backend in list(kms_backends[stored.account_id].values()):
        key = backend.keys.get(backend.get_key_id(stored.kms_key_id))
        if key is not None:
            return bool(key.key_state != "Enabled")
    return False
