"""Asks the model for an image's labels, and finds out whether the image or the service caused a failure.

If the model fails repeatedly at one image, but still labels an image that it has labelled before, the first image is to
blame. Within one delivery, the model is asked at most twice about an image.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from botocore.exceptions import ClientError

from label_detection_core import aws_errors
from label_detection_core.labelling import decisions
from label_detection_core.labelling.doubts import Doubts
from label_detection_core.labelling.labels import Detection, Error
from label_detection_core.labelling.object_access import NothingThereError, ObjectAccess
from label_detection_core.queue.messages import ImageRef

#: Detects labels: `(image, min_confidence)`, with `min_confidence` 0-100, or None for the model's own thresholds.
#: Raises ImageRefusedError, ImageUnreadableError or TryAgainError, or an AWS error that the image did not cause (access
#: denied, the model is not running).
Detect = Callable[[ImageRef, float | None], Detection]


class DetectError(Exception):
    """The model did not answer with labels."""

    def __init__(self, error: Error) -> None:
        super().__init__(str(error))
        self.error = error


class ImageRefusedError(DetectError):
    """The model will never accept this image, because of its format, size or content.

    `doubtful`: the error code may also mean that the request is wrong, for this image or for all images.
    """

    def __init__(self, error: Error, *, doubtful: bool = False) -> None:
        super().__init__(error)
        self.doubtful = doubtful


class ImageUnreadableError(DetectError):
    """The service could not read the object: it was deleted, or the service has no access to the bucket."""


class TryAgainError(DetectError):
    """The call may succeed later. `throttled`: the service limits the request rate, so the image is not to blame."""

    def __init__(self, error: Error, *, throttled: bool) -> None:
        super().__init__(error)
        self.throttled = throttled


#: S3 calls with which a hook reads an image, to send its bytes to the service.
_READS = {"GetObject", "HeadObject"}


class Asker:
    """Asks the model. Safe to use from several threads.

    :param max_receives: from this delivery on, an image can be to blame for a failure.
    """

    def __init__(
        self, detect: Detect, access: ObjectAccess, doubts: Doubts, min_confidence: float | None, max_receives: int
    ) -> None:
        self._detect = detect
        self._access = access
        self._doubts = doubts
        self._min_confidence = min_confidence
        self._max_receives = max_receives

    def ask(self, image: ImageRef, receives: int) -> Detection:
        """Ask the model, at most twice. :raises ImageRefusedError: also when the image is to blame for failures."""
        try:
            return self._ask(image)
        except TryAgainError as again:
            if not decisions.may_be_to_blame(receives, self._max_receives, throttled=again.throttled):
                raise
            if not decisions.is_to_blame(receives, self._max_receives, labels_another=self._labels_another()):
                raise
        try:
            return self._ask(image)  # the service may have recovered by now
        except TryAgainError as again:
            if again.throttled:
                raise
            raise ImageRefusedError(again.error) from again

    def _labels_another(self) -> bool:
        """Whether the model answers for the image it labelled last. :raises TryAgainError: when that fails too."""
        if known := self._doubts.last_labelled:
            with contextlib.suppress(ImageRefusedError, ImageUnreadableError, NothingThereError):  # changed or deleted
                self._ask(known)
                return True
        return False

    def _ask(self, image: ImageRef) -> Detection:
        try:
            return self._detect(image, self._min_confidence)
        except ImageUnreadableError:
            self._access.read_a_byte(image)  # if S3 refuses us too, its error is more precise
            raise
        except aws_errors.AWS_ERRORS as error:
            if aws_errors.is_transient(error):
                raise TryAgainError(_said(error), throttled=aws_errors.is_throttle(error)) from error
            if not isinstance(error, ClientError) or error.operation_name not in _READS:
                raise
            raise self._access.refusal(image, error) or error from None


def _said(error: Exception) -> Error:
    return Error(aws_errors.code(error), aws_errors.message(error))
