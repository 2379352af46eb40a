"""A detector that learns from example pictures: one folder per label, any number of PNG or JPEG files in it."""

import logging
import threading
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from local_aws.decoded_image import decode_gray
from local_aws.matching import Features, Floats, Gray, extract, sightings

log = logging.getLogger(__name__)

MATCHING_SIDE = 640  # pixels of an image's longer side when it is searched
EXAMPLE_SIDE = 320
IMAGE_FEATURES = 1500
EXAMPLE_FEATURES = 400
LEAST_CONFIDENCE = 5.0
OVERLAP = 0.3  # of two finds of one label that overlap more, the surer one is kept
SUFFIXES = frozenset({".png", ".jpg", ".jpeg"})

cv2.setNumThreads(1)


@dataclass(frozen=True)
class Box:
    """A rectangle; each value is a ratio of the image's size, 0-1."""

    left: float
    top: float
    width: float
    height: float

    def overlap(self, other: "Box") -> float:
        """Shared area over joint area, 0-1."""
        across = min(self.left + self.width, other.left + other.width) - max(self.left, other.left)
        down = min(self.top + self.height, other.top + other.height) - max(self.top, other.top)
        shared = max(0.0, across) * max(0.0, down)
        return shared / (self.width * self.height + other.width * other.height - shared or 1.0)


@dataclass(frozen=True)
class Finding:
    """A label found in an image: confidence 0-100, the box, and the example's corners as ratios of the image's size."""

    name: str
    confidence: float
    box: Box
    polygon: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class _ExampleFile:
    label: str
    path: Path
    modified: int
    size: int


class Detector:
    """Finds the example pictures of a folder in images; thread-safe.

    Each detection reads the folder again, so a new example picture counts from the next detection on.
    """

    matching_side = MATCHING_SIDE

    def __init__(self, folder: Path):
        self._folder = folder
        self._lock = threading.Lock()
        self._features: dict[_ExampleFile, Features | None] = {}
        self._missing_told = False

    def find(self, gray: Gray) -> list[Finding]:
        """The labels in an image of grey pixels, highest confidence first."""
        examples = self.examples()
        if not examples:
            return []
        image = self.features(gray)
        found = [
            _finding(label, sighting.corners, sighting.confidence, image.gray)
            for label, features in examples
            for sighting in sightings(features, image)
        ]
        found.sort(key=lambda finding: (-finding.confidence, finding.name, finding.box.left, finding.box.top))
        kept: list[Finding] = []
        for finding in found:
            rivals = [other for other in kept if other.name == finding.name]
            if finding.confidence >= LEAST_CONFIDENCE and all(
                finding.box.overlap(other.box) <= OVERLAP for other in rivals
            ):
                kept.append(finding)
        return kept

    def features(self, gray: Gray) -> Features:
        """The features of an image that are compared with those of the examples."""
        return extract(_fit(gray, MATCHING_SIDE), IMAGE_FEATURES)

    def classes(self) -> list[str]:
        """The labels that have examples, sorted; the position of a label is its class number."""
        with self._lock:
            return sorted({file.label for file in self._list()})

    def examples(self) -> list[tuple[str, Features]]:
        """The label and the features of each example that can be read."""
        with self._lock:
            files = self._list()
            self._features = {file: self._features[file] for file in files if file in self._features}
            for file in files:
                if file not in self._features:
                    self._features[file] = _learn(file)
            return [(file.label, features) for file in files if (features := self._features[file]) is not None]

    def _list(self) -> list[_ExampleFile]:
        files = []
        if self._folder.is_dir():
            for path in sorted(self._folder.glob("*/*")):
                if path.suffix.lower() in SUFFIXES and not path.name.startswith("."):
                    try:
                        stat = path.stat()
                    except FileNotFoundError:
                        continue  # deleted since the folder was listed
                    files.append(_ExampleFile(path.parent.name, path, stat.st_mtime_ns, stat.st_size))
        if not files and not self._missing_told:
            log.warning(
                "no example pictures in %s, so no label is found: add PNG or JPEG files", self._folder.resolve()
            )
        self._missing_told = not files
        return files


def _learn(file: _ExampleFile) -> Features | None:
    """An example's features; None, with a warning in the log, if the file cannot be read."""
    try:
        gray = decode_gray(file.path.read_bytes())
    except OSError as error:
        log.warning("example %s cannot be read: %s", file.path, error)
        return None
    if gray is None:
        log.warning("example %s is not a readable PNG or JPEG and is ignored: replace it", file.path)
        return None
    features = extract(_fit(gray, EXAMPLE_SIDE), EXAMPLE_FEATURES)
    log.info("example %s of label %s: %d features", file.path.name, file.label, len(features.points))
    return features


def _fit(gray: Gray, side: int) -> Gray:
    """The image, scaled down if its longer side has more than ``side`` pixels."""
    scale = side / max(gray.shape)
    if scale >= 1:
        return gray
    size = (max(1, round(gray.shape[1] * scale)), max(1, round(gray.shape[0] * scale)))
    return cv2.resize(gray, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)


def _finding(label: str, corners: Floats, confidence: float, gray: Gray) -> Finding:
    ratios = np.clip(corners.astype(np.float64) / [gray.shape[1], gray.shape[0]], 0.0, 1.0)
    left, top = ratios.min(axis=0)
    right, bottom = ratios.max(axis=0)
    box = Box(float(left), float(top), float(right - left), float(bottom - top))
    return Finding(label, round(confidence, 3), box, tuple((float(x), float(y)) for x, y in ratios))
