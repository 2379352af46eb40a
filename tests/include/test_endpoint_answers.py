"""What endpoints answer, as labels of one shape."""

from __future__ import annotations

import json
from typing import Any

import pytest

from include.endpoint_answers import labels_of

WIDTH, HEIGHT = 200, 100


def labels(answer: object) -> list[dict[str, Any]]:
    return labels_of(json.dumps(answer).encode(), WIDTH, HEIGHT)


def label(name: str, confidence: float, *box: float) -> dict[str, Any]:
    """`box`: left, top, width, height."""
    found: dict[str, Any] = {"Name": name, "Confidence": confidence}
    if box:
        sides = dict(zip(("Left", "Top", "Width", "Height"), box, strict=True))
        found["Geometry"] = {"BoundingBox": pytest.approx(sides)}
    return found


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        pytest.param({"prediction": []}, [], id="detector: nothing"),
        pytest.param(
            {"prediction": [[1.0, 0.25, 0, 0, 1, 1], [4.0, 0.875, 0.1, 0.2, 0.5, 0.4]]},
            [label("4", 87.5, 0.1, 0.2, 0.4, 0.2), label("1", 25, 0, 0, 1, 1)],
            id="detector: two, the surest first",
        ),
        pytest.param(
            {"prediction": [[0, 0.5, -0.1, 0.5, 1.2, 0.4]]},
            [label("0", 50, 0, 0.5, 1, 0)],
            id="detector: a box beyond the image's edges, and one that is upside down",
        ),
        pytest.param({"prediction": [[-1, 0.5, 0, 0, 1, 1]]}, [], id="detector: a row that is no find"),
        pytest.param([0.125, 0.875], [label("1", 87.5), label("0", 12.5)], id="classifier"),
        pytest.param([1, 0], [label("0", 100), label("1", 0)], id="classifier: whole numbers"),
        pytest.param([1.0000001], [label("0", 100)], id="classifier: rounded up"),
        pytest.param([], [], id="nothing at all"),
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
        pytest.param(b'{"prediction": [[1, 0.5, NaN, 0, 1, 1]]}', id="a box that is none"),
        pytest.param(b'{"prediction": [[Infinity, 0.5, 0, 0, 1, 1]]}', id="a class that is none"),
        pytest.param(b'["leaf"]', id="names alone"),
    ],
)
def test_an_answer_that_is_not_understood_is_said_and_not_guessed_at(answer: bytes) -> None:
    with pytest.raises(ValueError, match="its answer is in no format that is known: "):
        labels_of(answer, WIDTH, HEIGHT)
