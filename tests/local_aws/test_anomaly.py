"""The anomaly detector finds what differs from the normal pictures, where it differs, and nothing else."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from local_aws.anomaly import AnomalyDetector, Verdict
from local_aws.decoded_image import decode
from local_aws.detector import Detector
from tests.local_aws.pictures import BACKGROUNDS, EXAMPLES, Gray, example, jpeg, pasted, photograph, png


@pytest.fixture(scope="module")
def normal(examples: Path) -> AnomalyDetector:
    return AnomalyDetector(Detector(examples))


def judge(detector: AnomalyDetector, content: bytes) -> Verdict:
    return detector.judge(decode(content, detector.matching_side))


def resized(gray: Gray, factor: float) -> Gray:
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(gray, None, fx=factor, fy=factor, interpolation=how), np.uint8)


def blotted(gray: Gray, centre: tuple[int, int], radius: int) -> tuple[Gray, Gray]:
    """A picture with a blot of maximum contrast, and the blot's position."""
    where = np.zeros_like(gray)
    cv2.circle(where, centre, radius, 255, -1)
    color = 255 if gray[where > 0].mean() < 128 else 0
    return np.where(where > 0, color, gray).astype(np.uint8), where


def shared(verdict: Verdict, where: Gray) -> float:
    """Intersection over union of the mask and the truth."""
    truth = where > 127
    return float((verdict.mask & truth).sum() / (verdict.mask | truth).sum())


@pytest.mark.parametrize("label", list(EXAMPLES))
@pytest.mark.parametrize(
    "change",
    [
        pytest.param(png, id="itself"),
        pytest.param(lambda gray: jpeg(gray, 40), id="JPEG of low quality"),
        pytest.param(lambda gray: png(resized(gray, 0.7)), id="smaller"),
        pytest.param(lambda gray: png(resized(gray, 2.5)), id="larger"),
        pytest.param(lambda gray: png((gray * 0.7).astype(np.uint8)), id="darker"),
    ],
)
def test_a_normal_picture_and_copies_of_it_are_normal(normal: AnomalyDetector, label: str, change: object) -> None:
    verdict = judge(normal, change(example(label)))  # type: ignore[operator]
    assert not verdict.is_anomalous
    assert 0.75 < verdict.confidence <= 1
    assert verdict.area == 0


PLACES = [("grass", 220, 0, 1.0), ("moon", 180, 20, 0.8), ("brick", 300, -35, 1.1)]


@pytest.mark.parametrize(("background", "side", "degrees", "gain"), PLACES, ids=[place[0] for place in PLACES])
@pytest.mark.parametrize("label", list(EXAMPLES))
def test_a_thing_in_a_scene_is_normal_and_with_a_blot_it_is_not(
    normal: AnomalyDetector, label: str, background: str, side: float, degrees: float, gain: float
) -> None:
    image, _ = pasted(photograph(background), label, (300, 230), side, degrees, gain)
    clean = judge(normal, jpeg(image))
    assert not clean.is_anomalous
    assert clean.confidence > 0.5
    spoiled, where = blotted(image, (305, 225), 18)
    verdict = judge(normal, jpeg(spoiled))
    assert verdict.is_anomalous
    assert verdict.confidence > 0.75
    assert verdict.mask.shape == image.shape
    assert shared(verdict, where) > 0.75


@pytest.mark.parametrize("color", [0, 255], ids=["black", "white"])
@pytest.mark.parametrize("label", list(EXAMPLES))
def test_a_scratch_is_found_where_it_is(normal: AnomalyDetector, label: str, color: int) -> None:
    image = resized(example(label), 2)
    where = np.zeros_like(image)
    height, width = image.shape
    cv2.line(where, (int(0.3 * width), int(0.3 * height)), (int(0.7 * width), int(0.5 * height)), 255, 7)
    verdict = judge(normal, png(np.where(where > 0, color, image).astype(np.uint8)))
    assert verdict.is_anomalous
    assert verdict.confidence > 0.6
    near = cv2.dilate(where, np.ones((9, 9), np.uint8)) > 0
    assert (verdict.mask & near).sum() > 0.97 * verdict.mask.sum()


@pytest.mark.parametrize("name", BACKGROUNDS)
def test_a_different_object_is_an_anomaly_as_a_whole(normal: AnomalyDetector, name: str) -> None:
    verdict = judge(normal, jpeg(photograph(name)))
    assert verdict.is_anomalous
    assert verdict.confidence > 0.9
    assert verdict.area == 1


def test_one_bad_thing_among_good_ones_is_enough(normal: AnomalyDetector) -> None:
    image, _ = pasted(photograph("moon"), "cat", (160, 240), 200)
    image, _ = pasted(image, "face", (480, 240), 200)
    assert not judge(normal, png(image)).is_anomalous
    spoiled, where = blotted(image, (480, 250), 18)
    verdict = judge(normal, png(spoiled))
    assert verdict.is_anomalous
    assert shared(verdict, where) > 0.75


def test_a_picture_equal_to_any_normal_one_is_normal(tmp_path: Path) -> None:
    spoiled, _ = blotted(example("cat"), (120, 130), 20)
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "1.png").write_bytes(png(example("cat")))
    detector = AnomalyDetector(Detector(tmp_path))
    assert judge(detector, png(spoiled)).is_anomalous
    (tmp_path / "cat" / "2.png").write_bytes(png(spoiled))
    assert not judge(detector, png(spoiled)).is_anomalous
    assert not judge(detector, png(example("cat"))).is_anomalous


def test_without_normal_pictures_nothing_is_normal(tmp_path: Path) -> None:
    assert judge(AnomalyDetector(Detector(tmp_path)), png(example("cat"))).is_anomalous


def test_the_mask_is_a_png_in_its_two_colours() -> None:
    mask = np.zeros((40, 60), np.bool_)
    mask[10:20, 30:] = True
    pixels = cv2.imdecode(np.frombuffer(Verdict(True, 0.9, mask).mask_png("#23A436", "#FFFFFF"), np.uint8), 1)
    assert pixels is not None
    assert pixels.shape == (40, 60, 3)
    assert pixels[15, 40].tolist() == [0x36, 0xA4, 0x23]
    assert pixels[5, 40].tolist() == [255, 255, 255]
