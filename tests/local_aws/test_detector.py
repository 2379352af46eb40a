"""The detector finds the objects of the examples, with their position, and nothing else."""

import logging
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from local_aws.detector import Detector, Finding
from tests.local_aws.conftest import Aws
from tests.local_aws.pictures import (
    BACKGROUNDS,
    EXAMPLES,
    Gray,
    example,
    jpeg,
    pasted,
    photograph,
    png,
    save_examples,
)

# Label, background, centre and longer side in pixels, degrees, brightness.
PLACES = [
    pytest.param("cat", "grass", (200, 200), 220, 0, 1.0, id="cat on grass"),
    pytest.param("cat", "brick", (420, 260), 140, 35, 0.7, id="small turned dark cat"),
    pytest.param("cat", "moon", (320, 240), 300, 180, 1.2, id="cat upside down"),
    pytest.param("cup", "gravel", (300, 200), 260, -20, 1.1, id="cup on gravel"),
    pytest.param("cup", "rocket", (430, 330), 160, 10, 0.6, id="small dark cup"),
    pytest.param("face", "hubble_deep_field", (150, 330), 120, 60, 1.0, id="small face among stars"),
    pytest.param("face", "brick", (500, 150), 200, -90, 0.8, id="face lying down"),
    pytest.param("photographer", "grass", (330, 250), 240, 15, 1.2, id="photographer on grass"),
    pytest.param("photographer", "moon", (600, 240), 220, 0, 1.0, id="photographer cut by the edge"),
]


@pytest.fixture(scope="module")
def detector(examples: Path) -> Detector:
    return Detector(examples)


@pytest.mark.parametrize(("label", "background", "centre", "side", "degrees", "gain"), PLACES)
def test_an_example_is_found_where_it_is_however_it_lies(
    aws: Aws,
    rekognition: Any,
    label: str,
    background: str,
    centre: tuple[float, float],
    side: float,
    degrees: float,
    gain: float,
) -> None:
    aws.model(status="RUNNING")
    image, truth = pasted(photograph(background), label, centre, side, degrees, gain)
    answer = rekognition.detect_custom_labels(ProjectVersionArn=aws.model_arn, Image={"Bytes": jpeg(image)})
    (found,) = answer["CustomLabels"]
    assert found["Name"] == label
    assert 80 < found["Confidence"] <= 100
    assert truth.overlap(found["Geometry"]["BoundingBox"]) > 0.7
    assert all(0 <= point[axis] <= 1 for point in found["Geometry"]["Polygon"] for axis in ("X", "Y"))


@pytest.mark.parametrize("name", [*BACKGROUNDS, "text", "page", "clock", "coins", "retina", "immunohistochemistry"])
def test_a_photograph_without_the_things_has_no_label_over_50(detector: Detector, name: str) -> None:
    assert [finding for finding in detector.find(photograph(name)) if finding.confidence > 50] == []


@pytest.mark.parametrize("label", list(EXAMPLES))
def test_only_its_own_label_is_found_in_the_photograph_an_example_is_from(detector: Detector, label: str) -> None:
    names = [finding.name for finding in detector.find(photograph(EXAMPLES[label][0])) if finding.confidence > 50]
    assert names == [label]


def test_a_mirrored_thing_is_another_thing(detector: Detector) -> None:
    image, _ = pasted(photograph("moon"), "photographer", (300, 240), 220)
    assert names(detector.find(image)) == {"photographer"}
    assert names(detector.find(np.ascontiguousarray(image[:, ::-1]))) == set()


def three_cats() -> Gray:
    image = photograph("grass")
    for centre, degrees in (((120, 130), 0), ((330, 330), 40), ((530, 140), -25)):
        image, _ = pasted(image, "cat", centre, 170, degrees)
    return image


def test_several_copies_and_several_things_are_each_found_surest_first(aws: Aws, rekognition: Any) -> None:
    aws.model(status="RUNNING")
    image, truth = pasted(three_cats(), "face", (530, 380), 150)
    ask = {"ProjectVersionArn": aws.model_arn, "Image": {"Bytes": png(image)}}
    found = rekognition.detect_custom_labels(**ask)["CustomLabels"]
    assert sorted(label["Name"] for label in found) == ["cat", "cat", "cat", "face"]
    confidences = [label["Confidence"] for label in found]
    assert confidences == sorted(confidences, reverse=True)
    (face,) = [label for label in found if label["Name"] == "face"]
    assert truth.overlap(face["Geometry"]["BoundingBox"]) > 0.7
    assert rekognition.detect_custom_labels(**ask, MaxResults=2)["CustomLabels"] == found[:2]
    sure = rekognition.detect_custom_labels(**ask, MinConfidence=confidences[1])["CustomLabels"]
    assert [label["Confidence"] for label in sure] == [c for c in confidences if c >= confidences[1]]
    assert rekognition.detect_custom_labels(**ask, MaxResults=0)["CustomLabels"] == []


def test_the_same_image_has_the_same_answer(examples: Path) -> None:
    answers = [Detector(examples).find(three_cats()) for _ in range(3)]
    assert answers[0] == answers[1] == answers[2]


def test_a_large_picture_has_the_same_ratios(aws: Aws, rekognition: Any) -> None:
    aws.model(status="RUNNING")
    image, truth = pasted(photograph("brick", 2600, 1950), "cup", (1500, 900), 1000, 12)
    answer = rekognition.detect_custom_labels(ProjectVersionArn=aws.model_arn, Image={"Bytes": jpeg(image)})
    (found,) = answer["CustomLabels"]
    assert truth.overlap(found["Geometry"]["BoundingBox"]) > 0.8


def names(found: list[Finding]) -> set[str]:
    return {finding.name for finding in found if finding.confidence > 50}


def test_an_example_counts_from_the_next_detection_on_until_it_is_gone(tmp_path: Path) -> None:
    detector, image = Detector(tmp_path), photograph("cat")
    assert detector.find(image) == []
    (tmp_path / "pet").mkdir()
    (tmp_path / "pet" / "one.JPG").write_bytes(jpeg(example("cat")))
    assert names(detector.find(image)) == {"pet"}
    (tmp_path / "pet").rename(tmp_path / "animal")
    assert names(detector.find(image)) == {"animal"}
    (tmp_path / "animal" / "one.JPG").write_bytes(jpeg(example("cup")))
    assert names(detector.find(image)) == set()


def test_an_unreadable_example_is_logged_once_and_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    save_examples(tmp_path)
    (tmp_path / "cat" / "broken.png").write_bytes(b"nothing")
    (tmp_path / "cat" / "notes.txt").write_text("not a picture, and not taken for one")
    detector = Detector(tmp_path)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            assert names(detector.find(photograph("cat"))) == {"cat"}
    assert [record.getMessage() for record in caplog.records if "broken.png" in record.getMessage()] == [
        f"example {tmp_path / 'cat' / 'broken.png'} is not a readable PNG or JPEG and is ignored: replace it"
    ]
    assert len(caplog.records) == 1


def test_no_examples_is_one_logged_line_and_no_label(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    detector = Detector(tmp_path / "none")
    for _ in range(3):
        assert detector.find(photograph("cat")) == []
    assert len([record for record in caplog.records if record.levelno == logging.WARNING]) == 1


def test_a_detection_is_fast_enough_for_the_models_pace(detector: Detector) -> None:
    image, _ = pasted(photograph("rocket"), "cup", (300, 200), 200)
    detector.find(image)
    took = []
    for _ in range(5):
        began = time.thread_time()
        detector.find(image)
        took.append(time.thread_time() - began)
    assert min(took) < 0.3
