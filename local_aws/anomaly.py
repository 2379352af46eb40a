"""Differences between an image and the normal pictures: the measure behind the embedded Lookout for Vision.

The example pictures are the normal ones. The detector searches the image for each example. Where an example is found,
that part of the image is warped onto the example and its brightness and contrast are fitted to it. Then each pixel is
compared with the darkest and the brightest pixel of the example within ``SLACK`` pixels. So a shift, a blur or JPEG's
noise is no difference, and a scratch or a blot is one. Connected pixels that differ by more than ``TOLERANCE`` grey
levels are the defect. Where several examples overlap, the one that differs least counts. Pixels outside the found
examples are not judged. An image in which no example is found is an anomaly as a whole.

This is a golden-template comparison, not a trained model: a part is normal if it looks like one of the pictures. If
good parts vary, the folder needs a picture of each variant.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from local_aws.decoded_image import DecodedImage, Gray
from local_aws.detector import Detector
from local_aws.matching import Features, Floats, Sighting, sightings

SURE = 50.0  # an example with at least this confidence counts as found
BARELY = 20.0  # the limit if no example reaches SURE: a large blot hides a large part of an object
SAME_PLACE = 0.3  # two finds with at least this shared area over joint area are of one object
SLACK = 2  # pixels of an example, whose longer side has at most 320
TOLERANCE = 24.0  # grey levels of 255
SPECK = 0.0005  # a spot of differing pixels counts if it covers at least this share of the object
LIMIT = 0.003  # spots that cover this share of an object are a defect, with confidence 0.5

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Verdict:
    """Whether an image is anomalous, how sure that is (0.5-1), and where: a mask of the image's size."""

    is_anomalous: bool
    confidence: float
    mask: Mask

    @property
    def area(self) -> float:
        """The mask's share of the image, 0-1."""
        return float(self.mask.mean())

    def mask_png(self, defect: str, background: str) -> bytes:
        """The mask as a PNG in two colours, given as #RRGGBB."""
        colors = np.array([_bgr(background), _bgr(defect)], np.uint8)
        return bytes(cv2.imencode(".png", colors[self.mask.astype(np.uint8)])[1])


@dataclass(frozen=True)
class _Thing:
    """A found example: its corners in the image, a mask of the example's differing pixels, and their share, 0-1."""

    corners: Floats
    differs: Gray
    share: float


class AnomalyDetector:
    """Judges images against a detector's examples; thread-safe."""

    def __init__(self, detector: Detector):
        self._detector = detector

    @property
    def matching_side(self) -> int:
        """Pixels of an image's longer side when it is compared."""
        return self._detector.matching_side

    def judge(self, picture: DecodedImage) -> Verdict:
        """Compare an image with the normal pictures."""
        image = self._detector.features(picture.gray)
        found = [
            (example, sighting)
            for _, example in self._detector.examples()
            for sighting in sightings(example, image)
            if sighting.confidence >= BARELY
        ]
        best = max((sighting.confidence for _, sighting in found), default=0.0)
        least = SURE if best >= SURE else BARELY
        things = _likest([_compare(*pair, image.gray) for pair in found if pair[1].confidence >= least])
        if not things:
            return Verdict(True, 1.0 - best / 100 / 2, np.ones((picture.height, picture.width), np.bool_))
        excess = max(thing.share for thing in things) / LIMIT
        if excess < 1.0:
            return Verdict(False, 1.0 / (1.0 + excess), np.zeros((picture.height, picture.width), np.bool_))
        return Verdict(True, excess / (1.0 + excess), _mask(things, picture, image.gray))


def _compare(example: Features, sighting: Sighting, image: Gray) -> _Thing:
    height, width = example.gray.shape
    box = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    onto = cv2.getPerspectiveTransform(sighting.corners.astype(np.float32), box)
    warped = cv2.warpPerspective(image, onto, (width, height), flags=cv2.INTER_LINEAR)
    seen = cv2.GaussianBlur(warped, (0, 0), 1.0).astype(np.float32)
    # Without the example's rim: pixels beside the object blend into it.
    inside = cv2.warpPerspective(np.full_like(image, 255), onto, (width, height)) > 250
    inside[[0, 1, 2, -3, -2, -1], :] = inside[:, [0, 1, 2, -3, -2, -1]] = False
    normal = cv2.GaussianBlur(example.gray, (0, 0), 1.0)
    around = cv2.getStructuringElement(cv2.MORPH_RECT, (2 * SLACK + 1, 2 * SLACK + 1))
    darkest = cv2.erode(normal, around).astype(np.float32)
    brightest = cv2.dilate(normal, around).astype(np.float32)
    differs = np.zeros((height, width), np.bool_)
    for _ in range(3):  # fit brightness and contrast by the pixels that do not differ
        fitted = _fit(seen, normal.astype(np.float32), inside & ~differs)
        differs = (np.maximum(darkest - fitted, fitted - brightest) > TOLERANCE) & inside
    spots = _without_specks(differs)
    return _Thing(sighting.corners, spots, float(spots.mean()) / 255)


def _fit(seen: NDArray[np.float32], normal: NDArray[np.float32], where: Mask) -> NDArray[np.float32]:
    """``seen`` with its brightness and contrast fitted to the normal picture's."""
    if where.sum() < 64:
        return seen
    here, there = seen[where], normal[where]
    gain = float(there.std()) / max(1.0, float(here.std()))
    fitted: NDArray[np.float32] = (seen - here.mean()) * np.float32(gain) + there.mean()
    return fitted


def _without_specks(differs: Mask) -> Gray:
    """255 where a connected spot of differing pixels covers at least ``SPECK`` of the example, else 0."""
    count, numbers, facts, _ = cv2.connectedComponentsWithStats(differs.astype(np.uint8), connectivity=8)
    areas = facts[:, cv2.CC_STAT_AREA]
    kept = [number for number in range(1, count) if areas[number] >= SPECK * differs.size]
    return np.where(np.isin(numbers, kept), 255, 0).astype(np.uint8)


def _likest(things: list[_Thing]) -> list[_Thing]:
    """The objects that remain when, of each overlapping group, only the one that differs least is kept."""
    kept: list[_Thing] = []
    for thing in sorted(things, key=lambda thing: thing.share):
        if all(_overlap(thing.corners, other.corners) < SAME_PLACE for other in kept):
            kept.append(thing)
    return kept


def _overlap(one: Floats, other: Floats) -> float:
    shared, _ = cv2.intersectConvexConvex(one, other)
    joint = cv2.contourArea(one) + cv2.contourArea(other) - shared
    return shared / joint if joint > 0 else 0.0


def _mask(things: list[_Thing], picture: DecodedImage, image: Gray) -> Mask:
    """A mask of the objects' spots in the image at its full size."""
    scale = np.array([picture.width / image.shape[1], picture.height / image.shape[0]], np.float32)
    mask = np.zeros((picture.height, picture.width), np.bool_)
    for thing in things:
        height, width = thing.differs.shape
        box = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
        onto = cv2.getPerspectiveTransform(box, (thing.corners * scale).astype(np.float32))
        mask |= cv2.warpPerspective(thing.differs, onto, (picture.width, picture.height)) > 127
    return mask


def _bgr(color: str) -> tuple[int, int, int]:
    red, green, blue = bytes.fromhex(color.removeprefix("#"))
    return blue, green, red
