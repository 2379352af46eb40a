"""What is not as in the normal pictures: the measure behind the embedded Lookout for Vision.

The example pictures are the normal ones. Each is looked for in the image, as the detector does, and where it is found
the image is laid over it, its brightness and contrast are fitted, and every pixel is compared with the darkest and the
brightest that the example has within ``SLACK`` pixels: a shift, a blur or JPEG's noise is no difference, a scratch or a
blot is. Pixels that differ by more than ``TOLERANCE`` grey levels and hang together are the defect. Where several
examples lie on one another, what the likest one shows counts. What is around the things is not judged; an image in
which no example is found is an anomaly as a whole.

This is a golden-template comparison and no trained model: normal is what looks like one of the pictures, and what
varies from one good part to the next needs a picture of each.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from local_aws.decoded_image import DecodedImage, Gray
from local_aws.detector import Detector
from local_aws.matching import Features, Floats, Sighting, sightings

SURE = 50.0  # confidence from which an example counts as found
BARELY = 20.0  # ... if none is: a large blot hides much of a thing
SAME_PLACE = 0.3  # shared area over joint area from which two finds are of one thing
SLACK = 2  # pixels of an example, whose longer side has 320 at most
TOLERANCE = 24.0  # grey levels of 255
SPECK = 0.0005  # share of a thing that a spot of differing pixels must have to count
LIMIT = 0.003  # share of a thing from which its spots are a defect: the confidence is 0.5 there

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
    """A found example: its corners in the image, and which of the example's pixels differ there, with their share."""

    corners: Floats
    differs: Gray
    share: float


class AnomalyDetector:
    """Judges images by a detector's examples; safe under threads."""

    def __init__(self, detector: Detector):
        self._detector = detector

    @property
    def matching_side(self) -> int:
        """Pixels of an image's longer side when it is looked at."""
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
    # Not the example's rim: what is beside the thing shines into it.
    inside = cv2.warpPerspective(np.full_like(image, 255), onto, (width, height)) > 250
    inside[[0, 1, 2, -3, -2, -1], :] = inside[:, [0, 1, 2, -3, -2, -1]] = False
    normal = cv2.GaussianBlur(example.gray, (0, 0), 1.0)
    around = cv2.getStructuringElement(cv2.MORPH_RECT, (2 * SLACK + 1, 2 * SLACK + 1))
    darkest = cv2.erode(normal, around).astype(np.float32)
    brightest = cv2.dilate(normal, around).astype(np.float32)
    differs = np.zeros((height, width), np.bool_)
    for _ in range(3):  # brightness and contrast are those of what does not differ
        fitted = _fit(seen, normal.astype(np.float32), inside & ~differs)
        differs = (np.maximum(darkest - fitted, fitted - brightest) > TOLERANCE) & inside
    spots = _without_specks(differs)
    return _Thing(sighting.corners, spots, float(spots.mean()) / 255)


def _fit(seen: NDArray[np.float32], normal: NDArray[np.float32], where: Mask) -> NDArray[np.float32]:
    """The brightness and contrast that come closest to the normal picture's."""
    if where.sum() < 64:
        return seen
    here, there = seen[where], normal[where]
    gain = float(there.std()) / max(1.0, float(here.std()))
    fitted: NDArray[np.float32] = (seen - here.mean()) * np.float32(gain) + there.mean()
    return fitted


def _without_specks(differs: Mask) -> Gray:
    """255 where enough pixels that differ hang together."""
    count, numbers, facts, _ = cv2.connectedComponentsWithStats(differs.astype(np.uint8), connectivity=8)
    areas = facts[:, cv2.CC_STAT_AREA]
    kept = [number for number in range(1, count) if areas[number] >= SPECK * differs.size]
    return np.where(np.isin(numbers, kept), 255, 0).astype(np.uint8)


def _likest(things: list[_Thing]) -> list[_Thing]:
    """Of those that lie on one another, the one that differs least."""
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
    """Where the things' spots are in the image at its true size."""
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
