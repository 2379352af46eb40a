"""Keys of images and documents in the final bucket. They depend only on source bucket, key and eTag."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Self

from label_detection_core.queue.messages import MAX_KEY_BYTES, ImageRef

REJECTED = "rejected/"
#: The folder for images whose source key begins like one of the final bucket's own folders. So no life-cycle rule and
#: no reader of those folders finds a picture there.
ASIDE = "_/"
_OWN_FOLDERS = (REJECTED, "runs/", "reviews/", "exports/", ASIDE)
_ID_DIGITS = 10
_DOCUMENT_SUFFIX = ".json"


@dataclass(frozen=True)
class Copy:
    """The place of an image in the final bucket, and the key of its document. The image may not exist yet."""

    image: ImageRef
    document_key: str


@dataclass(frozen=True)
class Keys:
    """The source of one version of an image, and its two possible places in the final bucket."""

    source: ImageRef
    labelled: Copy
    rejected: Copy

    @classmethod
    def of(cls, image: ImageRef, final_bucket: str) -> Self:
        """Return the keys for an image of the source bucket."""
        labelled, rejected = final_key(image), final_key(image, REJECTED)
        return cls(
            image,
            Copy(ImageRef(final_bucket, labelled), document_key(labelled)),
            Copy(ImageRef(final_bucket, rejected), document_key(rejected)),
        )


def final_key(image: ImageRef, prefix: str = "") -> str:
    """Return the key of an image in the final bucket: `<prefix><key>-<id><suffix>`.

    The id depends only on source bucket, key and eTag. `part.png` becomes `part-1f0c9a7be2.png`, and `runs/part.png`
    becomes `_/runs/part-….png`. If the key of the image or document would exceed S3's 1,024 bytes, it is cut before the
    id.
    """
    return _with_id(image, prefix + ASIDE if image.key.startswith(_OWN_FOLDERS) else prefix)


def is_final_key(key: str, image: ImageRef, prefix: str = "") -> bool:
    """Whether `key` is the final key of an image, also by the rule of earlier versions, which had no folder `_/`."""
    return key in {final_key(image, prefix), _with_id(image, prefix)}


def _with_id(image: ImageRef, prefix: str) -> str:
    folder, slash, name = image.key.rpartition("/")
    stem, dot, suffix = name.rpartition(".")
    if not dot:
        stem, suffix = name, ""
    tail = f"-{_digest(image)}{dot}{suffix}"
    room = MAX_KEY_BYTES - len(f"{prefix}{tail}{_DOCUMENT_SUFFIX}".encode())
    if room < 0:  # the suffix alone is too long: leave it out
        stem, tail = name, f"-{_digest(image)}"
        room = MAX_KEY_BYTES - len(f"{prefix}{tail}{_DOCUMENT_SUFFIX}".encode())
    return prefix + _cut(f"{folder}{slash}{stem}", room) + tail


def document_key(image_key: str) -> str:
    """Return the key of the document for an image's final key."""
    return image_key + _DOCUMENT_SUFFIX


def rejected_message_key(message_id: str) -> str:
    """Return the key of the document for a message without an image."""
    return f"{REJECTED}messages/{message_id}{_DOCUMENT_SUFFIX}"


def _digest(image: ImageRef) -> str:
    identity = "\0".join((image.bucket, image.key, image.etag or ""))
    return hashlib.sha256(identity.encode()).hexdigest()[:_ID_DIGITS]


def _cut(text: str, room: int) -> str:
    """Cut text to at most `room` bytes of UTF-8, between two characters."""
    return text.encode()[:room].decode(errors="ignore")
