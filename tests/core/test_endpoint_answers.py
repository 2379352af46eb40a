"""The answers of endpoints, as labels of one shape."""

from __future__ import annotations

import base64
import json
from typing import Any

import cv2
import numpy as np
import pytest

from label_detection_core.labelling import anomalies
from label_detection_core.labelling.endpoint_answers import detection_of
from label_detection_core.labelling.labels import Anomaly

WIDTH, HEIGHT = 200, 100


def labels(answer: object) -> list[dict[str, Any]]:
    return detection_of(json.dumps(answer).encode(), WIDTH, HEIGHT, None).labels


def label(name: str, confidence: float, *box: float) -> dict[str, Any]:
    """A label. `box`: left, top, width, height."""
    found: dict[str, Any] = {"Name": name, "Confidence": confidence}
    if box:
        sides = dict(zip(("Left", "Top", "Width", "Height"), box, strict=True))
        found["Geometry"] = {"BoundingBox": pytest.approx(sides)}
    return found


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        pytest.param({"prediction": []}, [], id="detector: no object"),
        pytest.param(
            {"prediction": [[1.0, 0.25, 0, 0, 1, 1], [4.0, 0.875, 0.1, 0.2, 0.5, 0.4]]},
            [label("4", 87.5, 0.1, 0.2, 0.4, 0.2), label("1", 25, 0, 0, 1, 1)],
            id="detector: two, ordered by confidence",
        ),
        pytest.param(
            {"prediction": [[0, 0.5, -0.1, 0.5, 1.2, 0.4]]},
            [label("0", 50, 0, 0.5, 1, 0)],
            id="detector: a box beyond the image's edges, and one that is upside down",
        ),
        pytest.param({"prediction": [[-1, 0.5, 0, 0, 1, 1]]}, [], id="detector: an empty row"),
        pytest.param([0.125, 0.875], [label("1", 87.5), label("0", 12.5)], id="classifier"),
        pytest.param([1, 0], [label("0", 100), label("1", 0)], id="classifier: whole numbers"),
        pytest.param([1.0000001], [label("0", 100)], id="classifier: rounded up"),
        pytest.param([], [], id="no object at all"),
        pytest.param(
            [{"score": 0.5, "label": "leaf", "box": {"xmin": 20, "ymin": 10, "xmax": 120, "ymax": 60}}],
            [label("leaf", 50, 0.1, 0.1, 0.5, 0.5)],
            id="Hugging Face: pixels",
        ),
        pytest.param([{"score": 0.5, "label": "leaf"}], [label("leaf", 50)], id="Hugging Face: the image as a whole"),
    ],
)
def test_each_format_becomes_labels_with_ratios_and_confidence_from_0_to_100(
    answer: object, expected: list[dict[str, Any]]
) -> None:
    assert labels(answer) == expected


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"b'body'", id="not JSON"),
        pytest.param(b"\xff\xfe", id="not text"),
        pytest.param(b'{"predictions": []}', id="another format"),
        pytest.param(b'{"prediction": [[1, 0.5, 0, 0]]}', id="half a box"),
        pytest.param(b'{"prediction": [[1, 50, 0, 0, 1, 1]]}', id="a score in percent"),
        pytest.param(b'[{"score": 0.5}]', id="a find without a name"),
        pytest.param(b"[0.5, NaN]", id="not a number"),
        pytest.param(b'{"prediction": [[1, 0.5, NaN, 0, 1, 1]]}', id="an invalid box"),
        pytest.param(b'{"prediction": [[Infinity, 0.5, 0, 0, 1, 1]]}', id="an invalid class"),
        pytest.param(b'["leaf"]', id="names only"),
        pytest.param(b'{"IsAnomalous": true}', id="a verdict without a confidence"),
        pytest.param(b'{"IsAnomalous": "yes", "Confidence": 0.9}', id="a verdict as text"),
        pytest.param(b'{"IsAnomalous": true, "Confidence": 93}', id="a verdict in percent"),
    ],
)
def test_an_unknown_answer_is_an_error_and_not_interpreted(answer: bytes) -> None:
    with pytest.raises(ValueError, match="the answer of the endpoint has no known format: "):
        detection_of(answer, WIDTH, HEIGHT, None)


@pytest.mark.parametrize(
    ("min_confidence", "names"),
    [(None, ["4", "1"]), (0, ["4", "1"]), (25, ["4", "1"]), (25.1, ["4"]), (90, [])],
    ids=["the model's own", "everything", "exactly as sure", "surer", "none is"],
)
def test_labels_below_the_least_confidence_are_left_out(min_confidence: float | None, names: list[str]) -> None:
    answer = {"prediction": [[1.0, 0.25, 0, 0, 1, 1], [4.0, 0.875, 0.1, 0.2, 0.5, 0.4]]}
    found = detection_of(json.dumps(answer).encode(), WIDTH, HEIGHT, min_confidence)
    assert [label["Name"] for label in found.labels] == names
    assert found.anomaly is None


@pytest.mark.parametrize(
    ("verdict", "names", "anomaly"),
    [
        pytest.param({"IsAnomalous": True, "Confidence": 0.93}, ["anomaly"], Anomaly(True, 93.0), id="anomalous"),
        pytest.param({"IsAnomalous": False, "Confidence": 0.88}, [], Anomaly(False, 88.0), id="normal"),
        pytest.param({"IsAnomalous": True, "Confidence": 0.49}, [], Anomaly(True, 49.0), id="below min_confidence"),
        pytest.param(
            {"IsAnomalous": True, "Confidence": 0.9, "Anomalies": [{"Name": "dent"}]},
            ["dent"],
            Anomaly(True, 90.0),
            id="with its class",
        ),
    ],
)
def test_the_successor_of_lookout_for_vision_is_read_as_lookout_was(
    verdict: dict[str, Any], names: list[str], anomaly: Anomaly
) -> None:
    found = detection_of(json.dumps({"Source": {"Type": "direct"}, **verdict}).encode(), WIDTH, HEIGHT, 50)
    assert found == anomalies.detection_of(verdict, 50)
    assert ([label["Name"] for label in found.labels], found.anomaly) == (names, anomaly)


def test_its_mask_is_base64_in_json_as_every_blob() -> None:
    mask = np.full((100, 200, 3), 255, np.uint8)
    mask[10:30, 20:60] = (0x1F, 0x77, 0xB4)[::-1]
    body = base64.b64encode(cv2.imencode(".png", mask)[1].tobytes()).decode()
    kinds = [{"Name": "dent", "PixelAnomaly": {"TotalPercentageArea": 0.04, "Color": "#1F77B4"}}]
    verdict = {"IsAnomalous": True, "Confidence": 0.9, "Anomalies": kinds, "AnomalyMask": body}
    (dent,) = detection_of(json.dumps(verdict).encode(), WIDTH, HEIGHT, 50).labels
    assert dent["Geometry"]["BoundingBox"] == {"Left": 0.1, "Top": 0.1, "Width": 0.2, "Height": 0.2}
