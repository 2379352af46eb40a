"""Pictures made from scikit-image's photographs, with the true position of each object."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import skimage.data
from numpy.typing import NDArray

Gray = NDArray[np.uint8]

# Each example is cut out of a photograph: (photograph, rows, columns).
EXAMPLES = {
    "cat": ("cat", slice(20, 280), slice(60, 300)),
    "cup": ("coffee", slice(60, 340), slice(140, 480)),
    "face": ("astronaut", slice(20, 220), slice(120, 320)),
    "photographer": ("camera", slice(80, 300), slice(150, 350)),
}
BACKGROUNDS = ("brick", "gravel", "grass", "hubble_deep_field", "moon", "rocket")


@dataclass(frozen=True)
class Truth:
    """The true box of an object, in ratios of the image's size."""

    left: float
    top: float
    width: float
    height: float

    def overlap(self, box: dict[str, float]) -> float:
        """Intersection over union with a BoundingBox that the service returned."""
        across = min(self.left + self.width, box["Left"] + box["Width"]) - max(self.left, box["Left"])
        down = min(self.top + self.height, box["Top"] + box["Height"]) - max(self.top, box["Top"])
        shared = max(across, 0.0) * max(down, 0.0)
        return shared / (self.width * self.height + box["Width"] * box["Height"] - shared)


@cache
def photograph(name: str, width: int = 640, height: int = 480) -> Gray:
    pixels = getattr(skimage.data, name)()
    gray = pixels if pixels.ndim == 2 else cv2.cvtColor(np.ascontiguousarray(pixels[..., :3]), cv2.COLOR_RGB2GRAY)
    return np.asarray(cv2.resize(gray, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


@cache
def example(label: str) -> Gray:
    name, rows, columns = EXAMPLES[label]
    pixels = getattr(skimage.data, name)()
    gray = pixels if pixels.ndim == 2 else cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    return np.ascontiguousarray(gray[rows, columns], dtype=np.uint8)


def save_examples(folder: Path) -> None:
    for label in EXAMPLES:
        (folder / label).mkdir()
        (folder / label / "1.png").write_bytes(png(example(label)))


def pasted(
    background: Gray, label: str, centre: tuple[float, float], side: float, degrees: float = 0, gain: float = 1
) -> tuple[Gray, Truth]:
    """Paste the example on the background. ``size``: its longer side in pixels; ``gain``: factor of its brightness."""
    thing = example(label)
    height, width = thing.shape
    scale, angle = side / max(thing.shape), np.radians(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) * scale
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    placed = ((corners - [width / 2, height / 2]) @ turn.T + centre).astype(np.float32)
    onto = cv2.getPerspectiveTransform(corners, placed)
    size = (background.shape[1], background.shape[0])
    mask = cv2.warpPerspective(np.full_like(thing, 255), onto, size)
    bright = np.clip(thing * gain, 0, 255).astype(np.uint8)
    image = np.where(mask > 127, cv2.warpPerspective(bright, onto, size), background).astype(np.uint8)
    ratios = np.clip(placed / size, 0, 1)
    (left, top), (right, bottom) = ratios.min(axis=0), ratios.max(axis=0)
    return image, Truth(float(left), float(top), float(right - left), float(bottom - top))


def png(gray: Gray) -> bytes:
    return bytes(cv2.imencode(".png", gray)[1])


def jpeg(gray: Gray, quality: int = 85) -> bytes:
    return bytes(cv2.imencode(".jpg", gray, [cv2.IMWRITE_JPEG_QUALITY, quality])[1])
