"""Names for classes that a model only numbers."""

from __future__ import annotations

from typing import Any

import pytest

from label_detection_core.labelling.labels import Anomaly, Detection
from label_detection_core.labelling.naming import naming
from label_detection_core.queue.messages import ImageRef

IMAGE = ImageRef("source", "leaf.png")


def named(name: str, class_names: tuple[str, ...]) -> Any:
    found = Detection([{"Name": name, "Confidence": 80.0}], Anomaly(True, 90.0))
    detection = naming(lambda *_: found, class_names)(IMAGE, 50)
    assert detection.anomaly == found.anomaly
    assert detection.labels[0]["Confidence"] == 80.0
    return detection.labels[0]["Name"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param("0", "leaf", id="a number"),
        pytest.param("LABEL_1", "weed", id="as Hugging Face numbers them"),
        pytest.param("2", "2", id="a number beyond the names"),
        pytest.param("stone", "stone", id="a name"),
        pytest.param("-1", "-1", id="no class"),
        pytest.param("1.0", "1.0", id="not a whole number"),
    ],
)
def test_a_number_gets_its_name_and_all_else_stays(name: str, expected: str) -> None:
    assert named(name, ("leaf", "weed")) == expected


def test_without_names_numbers_stay() -> None:
    assert named("0", ()) == "0"
