"""The answers of Lookout for Vision, as labels and an anomaly."""

from __future__ import annotations

from dataclasses import astuple
from typing import Any

import cv2
import numpy as np
import pytest

from label_detection_core.labelling.anomalies import detection_of
from label_detection_core.labelling.labels import Anomaly


def result(is_anomalous: bool, confidence: float, *anomalies: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"IsAnomalous": is_anomalous, "Confidence": confidence, "Anomalies": list(anomalies), **more}


def anomaly(name: str, **where: Any) -> dict[str, Any]:
    return {"Name": name, **({"PixelAnomaly": where} if where else {})}


@pytest.mark.parametrize(
    ("answer", "names"),
    [
        pytest.param(result(False, 0.9), [], id="normal"),
        pytest.param(result(True, 0.9), ["anomaly"], id="anomalous, without a class"),
        pytest.param({"IsAnomalous": True, "Confidence": 0.9}, ["anomaly"], id="by a model that classifies"),
        pytest.param(result(True, 0.9, anomaly("scratch"), anomaly("dent")), ["scratch", "dent"], id="of two classes"),
        pytest.param(result(True, 0.9, anomaly("background")), ["anomaly"], id="only the background"),
        pytest.param(result(False, 0.9, anomaly("background")), [], id="normal, with its background"),
        pytest.param(result(True, 0.49, anomaly("scratch")), [], id="below min_confidence"),
    ],
)
def test_the_answer_is_kept_and_has_a_label_for_each_anomaly(answer: dict[str, Any], names: list[str]) -> None:
    found = detection_of(answer, 50)
    assert isinstance(found.anomaly, Anomaly)
    assert astuple(found.anomaly) == (answer["IsAnomalous"], pytest.approx(answer["Confidence"] * 100))
    assert [label["Name"] for label in found.labels] == names
    assert all(label["Confidence"] == pytest.approx(90) for label in found.labels)


def test_with_the_models_own_thresholds_each_anomaly_has_its_label() -> None:
    assert [label["Name"] for label in detection_of(result(True, 0.01, anomaly("scratch")), None).labels] == ["scratch"]


def test_an_anomaly_is_where_its_colour_is_in_the_mask() -> None:
    mask = np.full((100, 200, 3), 255, np.uint8)
    mask[10:30, 20:60] = (0x1F, 0x77, 0xB4)[::-1]
    mask[60:70, 100:110] = (0xFF, 0x7F, 0x0E)[::-1]
    kinds = [
        anomaly("scratch", TotalPercentageArea=0.04, Color="#1F77B4"),
        anomaly("dent", TotalPercentageArea=0.0, Color="#000000"),
        anomaly("stain"),
    ]
    scratch, dent, stain = detection_of(
        result(True, 0.9, *kinds, AnomalyMask=cv2.imencode(".png", mask)[1].tobytes()), 50
    ).labels
    assert scratch["Geometry"]["BoundingBox"] == {"Left": 0.1, "Top": 0.1, "Width": 0.2, "Height": 0.2}
    assert scratch["PixelAnomaly"] == {"TotalPercentageArea": 0.04, "Color": "#1F77B4"}
    assert "Geometry" not in dent
    assert "Geometry" not in stain


def test_similar_colours_are_separated_in_a_mask_of_any_size() -> None:
    mask = np.zeros((2000, 4000, 3), np.uint8)
    mask[200:600, 400:1200] = (0x23, 0xA4, 0x36)[::-1]
    mask[200:600, 1200:3600] = (0x24, 0xA4, 0x36)[::-1]
    kinds = [anomaly("scratch", Color="#23A436"), anomaly("first", Color="#010000"), anomaly("none", Color="#000000")]
    body = cv2.imencode(".png", mask)[1].tobytes()
    scratch, first, none = detection_of(result(True, 0.9, *kinds, AnomalyMask=body), 50).labels
    box = scratch["Geometry"]["BoundingBox"]
    assert box == pytest.approx({"Left": 0.1, "Top": 0.1, "Width": 0.2, "Height": 0.2}, abs=0.002)
    assert "Geometry" not in first
    assert none["Geometry"]["BoundingBox"]["Width"] == 1
