"""The text of `results` for a document."""

from typing import Any

import pytest

from demo.own_pictures import _labels

BOX = {"BoundingBox": {"Left": 0.1, "Top": 0.2, "Width": 0.3, "Height": 0.4}}


@pytest.mark.parametrize(
    ("document", "says"),
    [
        pytest.param({"labels": []}, "none", id="nothing found"),
        pytest.param(
            {"labels": [{"Name": "cup", "Confidence": 91.26, "Geometry": BOX}, {"Name": "cat", "Confidence": 80}]},
            "cup 91.3 % from 10%, 20% to 40%, 60%\ncat 80.0 %",
            id="two labels, one with a box",
        ),
        pytest.param(
            {"labels": [], "anomaly": {"IsAnomalous": False, "Confidence": 88.8}}, "normal 88.8 %", id="normal"
        ),
        pytest.param(
            {
                "labels": [{"Name": "defect", "Confidence": 91.5, "Geometry": BOX}],
                "anomaly": {"IsAnomalous": True, "Confidence": 91.5},
            },
            "anomalous 91.5 %\ndefect from 10%, 20% to 40%, 60%",
            id="anomalous",
        ),
        pytest.param(
            {"labels": [], "anomaly": {"IsAnomalous": True, "Confidence": 55}}, "anomalous 55.0 %", id="less sure"
        ),
        pytest.param({"error": {"code": "Bad", "message": "no"}}, "rejected: Bad: no", id="rejected"),
    ],
)
def test_the_text_of_a_document_is_the_models_answer(document: dict[str, Any], says: str) -> None:
    assert _labels(document).plain == says
