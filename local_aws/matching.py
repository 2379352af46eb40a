"""Find one example picture in an image, at any position, rotation, scale or viewing angle.

First, SIFT features of both pictures are matched. Then matches that agree on the position, scale and rotation of the
example are grouped (a Hough vote, which separates several copies of one object). A homography through a group gives
the corners. Last, the example is compared with that part of the image and must look like it.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Gray = NDArray[np.uint8]
Floats = NDArray[np.float32]

RATIO = 0.8  # Lowe's ratio test
MIN_MATCHES = 6
MAX_COPIES = 8  # of one example in one image
REPROJECTION_PIXELS = 5.0
MIN_BOX_PIXELS = 16.0
MIN_VISIBLE = 0.35  # share of the example that must be inside the image
MAX_STRETCH = 2.5  # the largest scale of a side over the smallest
GRID = 10  # cells per side of the grid that limits the features per area
LOOK_SIDE = 96  # pixels of the example's longer side when its look is compared with the image


@dataclass(frozen=True)
class Features:
    """A picture's grey pixels and its SIFT features: position and size in pixels, angle in degrees."""

    gray: Gray
    points: Floats
    sizes: Floats
    angles: Floats
    descriptors: Floats


@dataclass(frozen=True)
class Sighting:
    """A found example: its four corners in image pixels, clockwise from top left, and its confidence, 0-100."""

    corners: Floats
    confidence: float


def extract(gray: Gray, limit: int) -> Features:
    """At most ``limit`` SIFT features, as RootSIFT: the strongest ones of each part of the picture."""
    sift = cv2.SIFT.create()
    keypoints, descriptors = sift.compute(gray, _spread(sift.detect(gray, None), gray.shape, limit))
    if descriptors is None or not keypoints:
        empty = np.zeros(0, np.float32)
        return Features(gray, np.zeros((0, 2), np.float32), empty, empty, np.zeros((0, 128), np.float32))
    descriptors = np.sqrt(descriptors / (descriptors.sum(axis=1, keepdims=True) + 1e-7)).astype(np.float32)
    return Features(
        gray,
        np.array([point.pt for point in keypoints], np.float32),
        np.array([point.size for point in keypoints], np.float32),
        np.array([point.angle for point in keypoints], np.float32),
        descriptors,
    )


def _spread(keypoints: Sequence[cv2.KeyPoint], shape: tuple[int, ...], limit: int) -> list[cv2.KeyPoint]:
    """The strongest features of each cell of a grid.

    Without the grid, the features of a rough background would displace those of a smooth object.
    """
    if len(keypoints) <= limit:
        return list(keypoints)
    cells: dict[tuple[int, int], int] = {}
    ranked = []
    for keypoint in sorted(keypoints, key=lambda point: -point.response):
        cell = (int(keypoint.pt[0] * GRID / shape[1]), int(keypoint.pt[1] * GRID / shape[0]))
        cells[cell] = cells.get(cell, 0) + 1
        ranked.append((cells[cell], keypoint))
    ranked.sort(key=lambda pair: pair[0])
    return [keypoint for _, keypoint in ranked[:limit]]


def sightings(example: Features, image: Features) -> Iterator[Sighting]:
    """Each copy of the example in the image, the one with the most matches first."""
    if len(example.points) < MIN_MATCHES or len(image.points) < MIN_MATCHES:
        return
    here, there = _matches(example, image)
    for _ in range(MAX_COPIES):
        if len(here) < MIN_MATCHES:
            return
        group = _largest_agreement(example, image, here, there)
        if group.sum() < MIN_MATCHES:
            return
        transform = _transform(example.points[here[group]], image.points[there[group]])
        if transform is None:
            here, there = here[~group], there[~group]
            continue
        fits = _fits(transform, example.points[here], image.points[there])
        support = min(len(np.unique(here[fits])), len(np.unique(there[fits])))
        sighting = _judge(example, image, transform, support)
        if sighting is not None:
            yield sighting
            fits |= _inside(sighting.corners, image.points[there])
        here, there = here[~(fits | group)], there[~(fits | group)]


def _matches(example: Features, image: Features) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Indices of matching features, in the example and in the image.

    Each image feature is matched to the example, so that several copies of the example can share its features.
    """
    distances, nearest = cv2.batchDistance(
        image.descriptors, example.descriptors, cv2.CV_32F, None, None, cv2.NORM_L2, 2
    )
    good = distances[:, 0] < RATIO * distances[:, 1]
    return nearest[good, 0].astype(np.intp), np.nonzero(good)[0]


def _largest_agreement(
    example: Features, image: Features, here: NDArray[np.intp], there: NDArray[np.intp]
) -> NDArray[np.bool_]:
    """The largest group: the matches that agree with one match on the example's centre, scale and rotation."""
    scale = image.sizes[there] / example.sizes[here]
    turn = np.radians(image.angles[there] - example.angles[here])
    height, width = example.gray.shape
    offset = np.array([width / 2, height / 2], np.float32) - example.points[here]
    cos, sin = np.cos(turn) * scale, np.sin(turn) * scale
    centre = image.points[there] + np.stack(
        [cos * offset[:, 0] - sin * offset[:, 1], sin * offset[:, 0] + cos * offset[:, 1]], axis=1
    )
    reach = 0.2 * math.hypot(width, height) * scale
    near = np.linalg.norm(centre[:, None] - centre[None], axis=2) < reach[:, None]
    alike = np.abs(np.log(scale[:, None] / scale[None])) < 0.45
    turned = np.abs((turn[:, None] - turn[None] + np.pi) % (2 * np.pi) - np.pi) < 0.5
    agree = near & alike & turned
    group: NDArray[np.bool_] = agree[int(agree.sum(axis=1).argmax())]
    return group


def _transform(source: Floats, target: Floats) -> NDArray[np.float64] | None:
    """The homography through the matches, or a similarity transform if they are too few for a homography."""
    cv2.setRNGSeed(1)
    if len(source) >= 2 * MIN_MATCHES:
        found, _ = cv2.findHomography(source, target, cv2.RANSAC, REPROJECTION_PIXELS)
        if found is not None and _plausible(found, source):
            return np.asarray(found, np.float64)
    affine, _ = cv2.estimateAffinePartial2D(
        source, target, method=cv2.RANSAC, ransacReprojThreshold=REPROJECTION_PIXELS
    )
    if affine is None:
        return None
    return np.vstack([affine, [0.0, 0.0, 1.0]]).astype(np.float64)


def _plausible(transform: NDArray[Any], points: Floats) -> bool:
    """Whether a view at an angle can produce the transform: not mirrored, not folded, not stretched too far."""
    low, high = points.min(axis=0), points.max(axis=0)
    box = np.array([low, (high[0], low[1]), high, (low[0], high[1])], np.float32)
    return _shape_is_plausible(_project(transform, box), box)


def _shape_is_plausible(quad: Floats, box: Floats) -> bool:
    if not np.isfinite(quad).all() or not cv2.isContourConvex(quad.reshape(-1, 1, 2)):
        return False
    if _signed_area(quad) <= 0:
        return False
    sides = np.linalg.norm(np.roll(quad, -1, axis=0) - quad, axis=1)
    lengths = np.maximum(np.linalg.norm(np.roll(box, -1, axis=0) - box, axis=1), 1e-3)
    scales = sides / lengths
    return bool(scales.max() <= MAX_STRETCH * max(scales.min(), 1e-6))


def _signed_area(quad: Floats) -> float:
    x, y = quad[:, 0], quad[:, 1]
    return float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2


def _project(transform: NDArray[Any], points: Floats) -> Floats:
    return cv2.perspectiveTransform(points.reshape(-1, 1, 2), transform).reshape(-1, 2).astype(np.float32)


def _fits(transform: NDArray[Any], source: Floats, target: Floats) -> NDArray[np.bool_]:
    fits: NDArray[np.bool_] = np.linalg.norm(_project(transform, source) - target, axis=1) < REPROJECTION_PIXELS
    return fits


def _inside(corners: Floats, points: Floats) -> NDArray[np.bool_]:
    quad = corners.reshape(-1, 1, 2)
    return np.array([cv2.pointPolygonTest(quad, (float(x), float(y)), False) >= 0 for x, y in points], bool)


def _judge(example: Features, image: Features, transform: NDArray[Any], support: int) -> Sighting | None:
    """The sighting for a transform; None if the transform is implausible, too small or mostly outside the image."""
    height, width = example.gray.shape
    box = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    corners = _project(transform, box)
    if support < MIN_MATCHES or not _shape_is_plausible(corners, box):
        return None
    bounds = np.array([[0, 0], [image.gray.shape[1], image.gray.shape[0]]], np.float32)
    clipped = np.clip(corners, bounds[0], bounds[1])
    if (clipped.max(axis=0) - clipped.min(axis=0)).min() < MIN_BOX_PIXELS:
        return None
    likeness, visible = _likeness(example.gray, image.gray, transform)
    if visible < MIN_VISIBLE:
        return None
    return Sighting(corners, confidence_of(support, likeness))


def _likeness(example: Gray, image: Gray, transform: NDArray[Any]) -> tuple[float, float]:
    """The correlation of the example and its part of the image, -1 to 1, and the share of the example in view, 0-1.

    Correlation does not depend on brightness or contrast.
    """
    shrink = LOOK_SIDE / max(example.shape)
    size = (max(8, round(example.shape[1] * shrink)), max(8, round(example.shape[0] * shrink)))
    small = cv2.resize(example, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    to_example = np.diag([example.shape[1] / size[0], example.shape[0] / size[1], 1.0])
    onto = transform @ to_example
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    softened = cv2.blur(image, (3, 3))
    seen = cv2.warpPerspective(softened, onto, size, flags=flags).astype(np.float32)
    mask = cv2.warpPerspective(np.full_like(image, 255), onto, size, flags=flags) > 127
    if mask.sum() < 64:
        return -1.0, 0.0
    a, b = cv2.GaussianBlur(small, (0, 0), 1.0)[mask], cv2.GaussianBlur(seen, (0, 0), 1.0)[mask]
    a, b = a - a.mean(), b - b.mean()
    norm = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return (float((a * b).sum()) / norm if norm > 0 else 0.0), float(mask.mean())


def confidence_of(support: int, likeness: float) -> float:
    """Confidence, 0-100, from the number of matches and the correlation. See the tests for typical values."""
    matches = 1.0 - math.exp(-support / 6.0)
    looks = min(1.0, max(0.0, (likeness - 0.25) / 0.55))
    return 100.0 * math.sqrt(matches) * math.pow(looks, 0.6)
