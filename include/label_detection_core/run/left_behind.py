"""Images that are still in the source bucket at the end of a run, although a message that named them was deleted."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Event
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from label_detection_core import aws_errors
from label_detection_core.run.totals import NamedImage, NamedImages

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

#: Concurrent HEAD requests to S3.
THREADS = 8
#: Keys that a warning names at most.
_NAMED = 10
#: Characters of each key that a warning shows at most.
_MOST_OF_KEY = 200


@dataclass(frozen=True)
class LeftBehind:
    """The result of the check.

    `images`: still in the source bucket. `not_looked_at`: number of images that were not checked. `problem`: the error
    of S3 that ended the check; None when there was none.
    """

    images: list[NamedImage]
    not_looked_at: int = 0
    problem: str | None = None

    def warnings(self, waiting: int | None) -> list[str]:
        """Warnings for the report, one line each. `waiting`: messages still on the queue; None: not known."""
        said = []
        if self.images:
            why = ", ".join(sorted({image.why for image in self.images}))
            queued = f". {waiting} messages still wait on the queue and may announce them" if waiting else ""
            said.append(
                f"still in the source bucket, although a message that named the picture was ignored ({why}): "
                f"{_names(self.images, 0)}{queued}. Run the backfill DAG to announce these pictures again"
            )
        if self.not_looked_at:
            why = f" because S3 failed ({self.problem})" if self.problem else ""
            said.append(
                f"{self.not_looked_at} more pictures of ignored messages may still be in the source bucket: they were "
                f"not checked{why}. Run the backfill DAG to announce those that are still there"
            )
        return said


def find_left_behind(s3: S3Client, bucket: str, ignored: NamedImages) -> LeftBehind:
    """Check which of the ignored images are in the bucket now. An AWS error is returned as `problem`, never raised.

    An object that was written after its message was ignored does not count: that upload has its own event.
    """
    ours = [image for image in ignored.first if image.bucket == bucket]
    failed = Event()

    def is_there(image: NamedImage) -> bool | Exception | None:
        if failed.is_set():
            return None
        try:
            return _is_there(s3, image)
        except aws_errors.AWS_ERRORS as error:
            failed.set()
            return error

    with ThreadPoolExecutor(THREADS) as threads:
        answers = list(threads.map(is_there, ours))
    errors = [answer for answer in answers if isinstance(answer, Exception)]
    return LeftBehind(
        [image for image, answer in zip(ours, answers, strict=True) if answer is True],
        ignored.more + sum(not isinstance(answer, bool) for answer in answers),
        f"{aws_errors.code(errors[0])}: {aws_errors.message(errors[0])}" if errors else None,
    )


def unreadable_warnings(unreadable: NamedImages) -> list[str]:
    """Warnings for the report about objects that S3 does not let the pipeline read; at most one."""
    if not unreadable.first:
        return []
    reasons = ", ".join(sorted({image.why.partition(":")[0] for image in unreadable.first}))
    return [
        f"S3 does not let this pipeline read these objects ({reasons}), so they stay where they are: "
        f"{_names(unreadable.first, unreadable.more)}. The report has the reason for each. Their messages are kept "
        "under rejected/messages/ in the final bucket, or in the dead-letter queue. Remove the cause, then run the "
        "backfill DAG to announce these objects again"
    ]


def _is_there(s3: S3Client, image: NamedImage) -> bool:
    try:
        found = s3.head_object(Bucket=image.bucket, Key=image.key)
    except ClientError as error:
        if aws_errors.status(error) == 404:
            return False
        # The object exists: 400 is encrypted with a customer's key (SSE-C), 403 is denied.
        if aws_errors.status(error) in {400, 403}:
            return True
        raise
    return found["LastModified"] <= image.at


def _names(images: Iterable[NamedImage], more: int) -> str:
    names = [_short(repr(image.key)) for image in images]
    more += len(names) - len(names[:_NAMED])
    return ", ".join([*names[:_NAMED], *([f"and {more} more"] if more else [])])


def _short(text: str) -> str:
    return text if len(text) <= _MOST_OF_KEY else f"{text[:_MOST_OF_KEY]}…"
