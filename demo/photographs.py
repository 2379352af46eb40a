"""Pictures made from scikit-image's real photographs: objects are cut from one and laid on another at known places.

All photographs are inside scikit-image's wheel, so nothing is downloaded.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import skimage.data
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]

#: The objects, each with its photograph and its left, top, right and bottom there, in pixels.
_OBJECTS = {
    "cup": ("coffee.png", 72, 8, 492, 392),
    "cat": ("chelsea.png", 60, 0, 440, 300),
    "motorcycle": ("motorcycle_left.png", 95, 80, 680, 470),
    "astronaut": ("astronaut.png", 20, 0, 420, 512),
}
LABELS = tuple(_OBJECTS)
#: The photographs that objects are laid on; they show none of the objects.
BACKGROUNDS = (
    "brick.png",
    "grass.png",
    "gravel.png",
    "hubble_deep_field.jpg",
    "moon.png",
    "ihc.png",
    "rocket.jpg",
    "coins.png",
    "retina.jpg",
    "camera.png",
)
#: A second real photograph of the motorcycle, taken 19 cm further right.
SECOND_VIEW = "motorcycle_right.png"
#: The name that the embedded Lookout for Vision has for an anomaly.
DEFECT = "defect"


@dataclass(frozen=True)
class Box:
    """A rectangle as ratios of the image's width and height, like Rekognition's BoundingBox."""

    left: float
    top: float
    width: float
    height: float

    def iou(self, other: Box) -> float:
        """Intersection over union with another box, from 0 (apart) to 1 (identical)."""
        width = min(self.left + self.width, other.left + other.width) - max(self.left, other.left)
        height = min(self.top + self.height, other.top + other.height) - max(self.top, other.top)
        shared = max(width, 0.0) * max(height, 0.0)
        union = self.width * self.height + other.width * other.height - shared
        return shared / union if union > 0 else 0.0


@dataclass(frozen=True)
class Truth:
    """An object in a picture, and its place."""

    label: str
    box: Box


@cache
def photograph(name: str) -> Pixels:
    """A photograph from scikit-image's wheel, in BGR. Raises FileNotFoundError."""
    path = Path(skimage.data.__file__).parent / name
    pixels = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if pixels is None:
        raise FileNotFoundError(
            f"{path}: scikit-image's wheel no longer has this photograph: pin an older scikit-image"
        )
    return np.asarray(pixels, dtype=np.uint8)


def cut_out(label: str) -> Pixels:
    """The object of a label, cut from its photograph; it is the model's example picture."""
    name, left, top, right, bottom = _OBJECTS[label]
    return photograph(name)[top:bottom, left:right].copy()


def second_view() -> tuple[Pixels, Truth]:
    """The second photograph of the motorcycle, and its place there: shifted by the disparity of the stereo pair."""
    _, left, top, right, bottom = _OBJECTS["motorcycle"]
    pixels = photograph(SECOND_VIEW)
    height, width = pixels.shape[:2]
    shift = 40  # pixels; the middle of the motorcycle's disparities in motorcycle_disp.npz
    box = Box((left - shift) / width, top / height, (right - left) / width, (bottom - top) / height)
    return pixels.copy(), Truth("motorcycle", box)


def background(name: str, width: int, height: int) -> Pixels:
    """The centre of a photograph, scaled to this size in pixels without distortion."""
    pixels = photograph(name)
    scale = max(width / pixels.shape[1], height / pixels.shape[0])
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    size = (max(width, round(pixels.shape[1] * scale)), max(height, round(pixels.shape[0] * scale)))
    scaled = cv2.resize(pixels, size, interpolation=method)
    left, top = (scaled.shape[1] - width) // 2, (scaled.shape[0] - height) // 2
    return np.asarray(scaled[top : top + height, left : left + width], dtype=np.uint8).copy()


def lay_on(
    pixels: Pixels, label: str, within: tuple[int, int, int, int], rng: np.random.Generator
) -> tuple[Pixels, Truth]:
    """Lay an object at a random place in a part of a picture (left, top, right, bottom in pixels).

    The object is scaled to fill 50-95 % of that part in one direction, and turned by at most 20 degrees. Returns the
    picture, and the upright box around the object.
    """
    patch = cut_out(label)
    left, top, right, bottom = within
    turn = float(rng.uniform(-20, 20))
    corners, turned = _turned(patch, turn)
    fill = float(rng.uniform(0.5, 0.95))
    scale = fill * min((right - left) / turned[0], (bottom - top) / turned[1])
    width, height = turned[0] * scale, turned[1] * scale
    x = left + float(rng.uniform(0, right - left - width))
    y = top + float(rng.uniform(0, bottom - top - height))
    target = corners * scale + np.array([x, y])
    h, w = patch.shape[:2]
    source = np.array([[0, 0], [w, 0], [w, h], [0, h]], dtype=np.float32)
    transform = cv2.getPerspectiveTransform(source, target.astype(np.float32))
    size = (pixels.shape[1], pixels.shape[0])
    warped = cv2.warpPerspective(patch, transform, size, flags=cv2.INTER_AREA)
    mask = cv2.warpPerspective(np.full((h, w), 255, np.uint8), transform, size)[..., None] / 255.0
    mixed = (pixels * (1 - mask) + warped * mask).astype(np.uint8)
    box = Box(x / size[0], y / size[1], width / size[0], height / size[1])
    return mixed, Truth(label, box)


def _turned(patch: Pixels, degrees: float) -> tuple[NDArray[np.float64], tuple[float, float]]:
    """The corners of a rotated patch, moved so that the box around them starts at 0, 0, and the size of that box."""
    h, w = patch.shape[:2]
    angle = np.deg2rad(degrees)
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    corners = np.array([[0, 0], [w, 0], [w, h], [0, h]], dtype=np.float64) @ rotation.T
    corners -= corners.min(axis=0)
    width, height = corners.max(axis=0)
    return corners, (float(width), float(height))


def blotted(pixels: Pixels, thing: Box) -> tuple[Pixels, Truth]:
    """The picture with a blot in the middle of the object, and the place of the blot."""
    where = np.zeros(pixels.shape[:2], np.uint8)
    (x, y), side = _point(pixels, thing, 0.5, 0.5), _shorter_side(pixels, thing)
    cv2.circle(where, (x, y), round(side * 0.09), 255, -1)
    return _painted(pixels, where)


def scratched(pixels: Pixels, thing: Box) -> tuple[Pixels, Truth]:
    """The picture with a scratch across the object, and the place of the scratch."""
    where = np.zeros(pixels.shape[:2], np.uint8)
    ends = _point(pixels, thing, 0.35, 0.4), _point(pixels, thing, 0.65, 0.6)
    cv2.line(where, *ends, 255, max(3, round(_shorter_side(pixels, thing) * 0.03)))
    return _painted(pixels, where)


def _point(pixels: Pixels, thing: Box, across: float, down: float) -> tuple[int, int]:
    """A point in an object's box, in pixels."""
    height, width = pixels.shape[:2]
    return round((thing.left + across * thing.width) * width), round((thing.top + down * thing.height) * height)


def _shorter_side(pixels: Pixels, thing: Box) -> float:
    height, width = pixels.shape[:2]
    return float(min(thing.width * width, thing.height * height))


def _painted(pixels: Pixels, where: Pixels) -> tuple[Pixels, Truth]:
    """The picture with the mask painted white on a dark or black on a bright object, and the box around the paint."""
    colour = 255 if pixels[where > 0].mean() < 128 else 0
    painted = np.where(where[..., None] > 0, np.uint8(colour), pixels)
    left, top, width, height = cv2.boundingRect(where)
    size = (pixels.shape[1], pixels.shape[0])
    return painted, Truth(DEFECT, Box(left / size[0], top / size[1], width / size[0], height / size[1]))


def weathered(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """The picture as from another camera in another light: with other brightness and contrast, and a little noise."""
    contrast, brightness = rng.uniform(0.7, 1.25), rng.uniform(-30, 30)
    noise = rng.normal(0, 5, pixels.shape)
    return np.asarray(np.clip(pixels * contrast + brightness + noise, 0, 255), dtype=np.uint8)


def encode(pixels: Pixels, suffix: str, quality: int = 85) -> bytes:
    """The bytes of the picture as a .png or .jpg file. Raises ValueError."""
    options = [cv2.IMWRITE_JPEG_QUALITY, quality] if suffix == ".jpg" else []
    done, buffer = cv2.imencode(suffix, pixels, options)
    if not done:
        raise ValueError(f"OpenCV cannot write a {suffix} of {pixels.shape}")
    return buffer.tobytes()
