"""Where an image and its document go in the final bucket: functions of bucket, key and eTag alone."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Self

from label_detection_core.queue.messages import MAX_KEY_BYTES, ImageRef

REJECTED = "rejected/"
#: The folder for images whose source keys begin with one of the final bucket's own folders, so that no life-cycle rule
#: and no reader of those folders finds a picture there.
ASIDE = "_/"
_OWN_FOLDERS = (REJECTED, "runs/", "reviews/", "exports/", ASIDE)
_ID_DIGITS = 10
_DOCUMENT_SUFFIX = ".json"


@dataclass(frozen=True)
class Copy:
    """An image in the final bucket, or its place there, and the key of the document beside it."""

    image: ImageRef
    document_key: str


@dataclass(frozen=True)
class Keys:
    """Where one version of an image lies, and where it ends: labelled or rejected."""

    source: ImageRef
    labelled: Copy
    rejected: Copy

    @classmethod
    def of(cls, image: ImageRef, final_bucket: str) -> Self:
        """Of an image of the source bucket."""
        labelled, rejected = final_key(image), final_key(image, REJECTED)
        return cls(
            image,
            Copy(ImageRef(final_bucket, labelled), document_key(labelled)),
            Copy(ImageRef(final_bucket, rejected), document_key(rejected)),
        )


def final_key(image: ImageRef, prefix: str = "") -> str:
    """The key of an image in the final bucket: `<prefix><key>-<id><suffix>`, a function of bucket, key and eTag alone.

    `part.png` becomes `part-1f0c9a7be2.png`, `runs/part.png` `_/runs/part-….png`. Cut before the id where the image's
    or its document's key would pass S3's 1,024 bytes.
    """
    return _with_id(image, prefix + ASIDE if image.key.startswith(_OWN_FOLDERS) else prefix)


def is_final_key(key: str, image: ImageRef, prefix: str = "") -> bool:
    """Whether a key is that of an image in the final bucket, or was for a version that put none under `_/`."""
    return key in {final_key(image, prefix), _with_id(image, prefix)}


def _with_id(image: ImageRef, prefix: str) -> str:
    folder, slash, name = image.key.rpartition("/")
    stem, dot, suffix = name.rpartition(".")
    if not dot:
        stem, suffix = name, ""
    tail = f"-{_digest(image)}{dot}{suffix}"
    room = MAX_KEY_BYTES - len(f"{prefix}{tail}{_DOCUMENT_SUFFIX}".encode())
    if room < 0:  # a suffix as long as a key: no suffix at all, then
        stem, tail = name, f"-{_digest(image)}"
        room = MAX_KEY_BYTES - len(f"{prefix}{tail}{_DOCUMENT_SUFFIX}".encode())
    return prefix + _cut(f"{folder}{slash}{stem}", room) + tail


def document_key(image_key: str) -> str:
    """The key of the document that belongs to an image's final key."""
    return image_key + _DOCUMENT_SUFFIX


def rejected_message_key(message_id: str) -> str:
    """Where the document of a message without an image goes."""
    return f"{REJECTED}messages/{message_id}{_DOCUMENT_SUFFIX}"


def _digest(image: ImageRef) -> str:
    identity = "\0".join((image.bucket, image.key, image.etag or ""))
    return hashlib.sha256(identity.encode()).hexdigest()[:_ID_DIGITS]


def _cut(text: str, room: int) -> str:
    """`text` in at most `room` bytes of UTF-8, no character cut in two."""
    return text.encode()[:room].decode(errors="ignore")
