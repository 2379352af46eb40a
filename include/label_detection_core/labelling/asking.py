"""Asking the model for an image's labels, and who is to blame when it fails: the image, or the service.

An image that the model fails at again and again is to blame if the model answers for another one, which it has labelled
before. In one delivery an image is asked about at most twice.
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

#: Detects labels: `(image, min_confidence 0-100; None: the model's own thresholds)`. Raises the three errors below, or
#: lets an error through that is not the image's fault (access denied, the model is not running).
Detect = Callable[[ImageRef, float | None], Detection]


class DetectError(Exception):
    """The model did not answer with labels."""

    def __init__(self, error: Error) -> None:
        super().__init__(str(error))
        self.error = error


class ImageRefusedError(DetectError):
    """The model will never take this image: format, size, content.

    `doubtful`: by its code the request may be wrong instead, for this image or for all.
    """

    def __init__(self, error: Error, *, doubtful: bool = False) -> None:
        super().__init__(error)
        self.doubtful = doubtful


class ImageUnreadableError(DetectError):
    """The service could not read the object: gone by now, or something is wrong between the service and the bucket."""


class TryAgainError(DetectError):
    """The call may work later. `throttled`: the service was only asked too often, the image is not to blame."""

    def __init__(self, error: Error, *, throttled: bool) -> None:
        super().__init__(error)
        self.throttled = throttled


#: Calls by which a hook reads an image itself, to send it to its service.
_READS = {"GetObject", "HeadObject"}


class Asker:
    """Asks the model. Safe to use from several threads.

    :param max_receives: the delivery from which on an image can be to blame.
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
        """Ask the model, at most twice, until it is clear that the image is to blame: then ImageRefusedError."""
        try:
            return self._ask(image)
        except TryAgainError as again:
            if not decisions.may_be_to_blame(receives, self._max_receives, throttled=again.throttled):
                raise
            if not decisions.is_to_blame(receives, self._max_receives, labels_another=self._labels_another()):
                raise
        try:
            return self._ask(image)  # the trouble may just have ended
        except TryAgainError as again:
            if again.throttled:
                raise
            raise ImageRefusedError(again.error) from again

    def _labels_another(self) -> bool:
        """Whether the model answers for the image labelled last. :raises TryAgainError: when it fails there too."""
        if known := self._doubts.last_labelled:
            with contextlib.suppress(ImageRefusedError, ImageUnreadableError, NothingThereError):  # changed or taken
                self._ask(known)
                return True
        return False

    def _ask(self, image: ImageRef) -> Detection:
        try:
            return self._detect(image, self._min_confidence)
        except ImageUnreadableError:
            self._access.read_a_byte(image)  # S3 says better what is wrong, if it is wrong for us too
            raise
        except aws_errors.AWS_ERRORS as error:
            if aws_errors.is_transient(error):
                raise TryAgainError(_said(error), throttled=aws_errors.is_throttle(error)) from error
            if not isinstance(error, ClientError) or error.operation_name not in _READS:
                raise
            raise self._access.refusal(image, error) or error from None


def _said(error: Exception) -> Error:
    return Error(aws_errors.code(error), aws_errors.message(error))
