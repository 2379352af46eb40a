"""Pictures made of scikit-image's real photographs: an object cut from one, laid on another, and where it lies.

Only photographs inside scikit-image's wheel are used, so nothing is downloaded.
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

#: What an object is cut from: photograph, left, top, right, bottom (pixels).
_OBJECTS = {
    "cup": ("coffee.png", 72, 8, 492, 392),
    "cat": ("chelsea.png", 60, 0, 440, 300),
    "motorcycle": ("motorcycle_left.png", 95, 80, 680, 470),
    "astronaut": ("astronaut.png", 20, 0, 420, 512),
}
LABELS = tuple(_OBJECTS)
#: The photographs that objects are laid on, and that show none of them.
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
#: The same motorcycle from 19 cm further right: a real second photograph of an object.
SECOND_VIEW = "motorcycle_right.png"
#: What the embedded Lookout for Vision calls what is not normal.
DEFECT = "defect"


@dataclass(frozen=True)
class Box:
    """A rectangle in ratios of the image's width and height, as Rekognition's BoundingBox."""

    left: float
    top: float
    width: float
    height: float

    def iou(self, other: Box) -> float:
        """Intersection over union with another box: 0 (apart) to 1 (the same)."""
        width = min(self.left + self.width, other.left + other.width) - max(self.left, other.left)
        height = min(self.top + self.height, other.top + other.height) - max(self.top, other.top)
        shared = max(width, 0.0) * max(height, 0.0)
        union = self.width * self.height + other.width * other.height - shared
        return shared / union if union > 0 else 0.0


@dataclass(frozen=True)
class Truth:
    """An object that is in a picture, and where."""

    label: str
    box: Box


@cache
def photograph(name: str) -> Pixels:
    """A photograph from scikit-image's wheel, in BGR."""
    path = Path(skimage.data.__file__).parent / name
    pixels = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if pixels is None:
        raise FileNotFoundError(f"{path}: scikit-image's wheel does not carry this photograph any more")
    return np.asarray(pixels, dtype=np.uint8)


def cut_out(label: str) -> Pixels:
    """The object of this label, cut from its photograph: the example that the model learns from."""
    name, left, top, right, bottom = _OBJECTS[label]
    return photograph(name)[top:bottom, left:right].copy()


def second_view() -> tuple[Pixels, Truth]:
    """The real second photograph of the motorcycle, and where it is there: shifted by the stereo pair's disparity."""
    _, left, top, right, bottom = _OBJECTS["motorcycle"]
    pixels = photograph(SECOND_VIEW)
    height, width = pixels.shape[:2]
    shift = 40  # pixels; the middle of the motorcycle's disparities in motorcycle_disp.npz
    box = Box((left - shift) / width, top / height, (right - left) / width, (bottom - top) / height)
    return pixels.copy(), Truth("motorcycle", box)


def background(name: str, width: int, height: int) -> Pixels:
    """A photograph in another size, cut in the middle to keep its proportions."""
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
    """Lay an object somewhere in a part of a picture (left, top, right, bottom in pixels), scaled and turned a little.

    It fills 50-95 % of that part in one direction and is turned by up to 20 degrees. The truth is the upright box
    around it.
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
    """The corners of a patch turned about its middle, moved to start at 0, 0, and the size of the box around them."""
    h, w = patch.shape[:2]
    angle = np.deg2rad(degrees)
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    corners = np.array([[0, 0], [w, 0], [w, h], [0, h]], dtype=np.float64) @ rotation.T
    corners -= corners.min(axis=0)
    width, height = corners.max(axis=0)
    return corners, (float(width), float(height))


def blotted(pixels: Pixels, thing: Box) -> tuple[Pixels, Truth]:
    """The picture with a blot in the middle of the thing, and where that is."""
    where = np.zeros(pixels.shape[:2], np.uint8)
    (x, y), side = _point(pixels, thing, 0.5, 0.5), _shorter_side(pixels, thing)
    cv2.circle(where, (x, y), round(side * 0.09), 255, -1)
    return _painted(pixels, where)


def scratched(pixels: Pixels, thing: Box) -> tuple[Pixels, Truth]:
    """The picture with a scratch across the thing, and where that is."""
    where = np.zeros(pixels.shape[:2], np.uint8)
    ends = _point(pixels, thing, 0.35, 0.4), _point(pixels, thing, 0.65, 0.6)
    cv2.line(where, *ends, 255, max(3, round(_shorter_side(pixels, thing) * 0.03)))
    return _painted(pixels, where)


def _point(pixels: Pixels, thing: Box, across: float, down: float) -> tuple[int, int]:
    """A place in a thing's box, in pixels."""
    height, width = pixels.shape[:2]
    return round((thing.left + across * thing.width) * width), round((thing.top + down * thing.height) * height)


def _shorter_side(pixels: Pixels, thing: Box) -> float:
    height, width = pixels.shape[:2]
    return float(min(thing.width * width, thing.height * height))


def _painted(pixels: Pixels, where: Pixels) -> tuple[Pixels, Truth]:
    """White on what is dark, black on what is bright; and the box around it."""
    colour = 255 if pixels[where > 0].mean() < 128 else 0
    painted = np.where(where[..., None] > 0, np.uint8(colour), pixels)
    left, top, width, height = cv2.boundingRect(where)
    size = (pixels.shape[1], pixels.shape[0])
    return painted, Truth(DEFECT, Box(left / size[0], top / size[1], width / size[0], height / size[1]))


def weathered(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """The picture as another camera in another light takes it: brightness, contrast and a little noise."""
    contrast, brightness = rng.uniform(0.7, 1.25), rng.uniform(-30, 30)
    noise = rng.normal(0, 5, pixels.shape)
    return np.asarray(np.clip(pixels * contrast + brightness + noise, 0, 255), dtype=np.uint8)


def encode(pixels: Pixels, suffix: str, quality: int = 85) -> bytes:
    """The picture as the bytes of a .png or .jpg file."""
    options = [cv2.IMWRITE_JPEG_QUALITY, quality] if suffix == ".jpg" else []
    done, buffer = cv2.imencode(suffix, pixels, options)
    if not done:
        raise ValueError(f"OpenCV cannot write a {suffix} of {pixels.shape}")
    return buffer.tobytes()
