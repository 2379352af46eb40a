"""The documents in the final bucket: what is written, what can be read, and their schema."""

from __future__ import annotations

import json
import tomllib
from dataclasses import replace
from typing import Any

import jsonschema
import pytest

from label_detection_core import __version__
from label_detection_core.labelling import documents
from label_detection_core.labelling.documents import (
    SCHEMA_FILE,
    LabelDocument,
    RejectedImage,
    RejectedMessage,
)
from label_detection_core.labelling.keys import final_key
from label_detection_core.labelling.labels import Anomaly, Detection, Error, ModelInfo, RunInfo
from label_detection_core.queue.messages import ImageRef, Message
from label_detection_core.stored import Stored
from sandbox.environment import PROJECT

MODEL = ModelInfo("arn:aws:rekognition:eu-west-1:123456789012:project/p/version/v/1", 70.0)
RUN = RunInfo("label_detection", "manual__2026-11-22T06:00:00+00:00", 0)
IMAGE = ImageRef("parts", "<b>猫</b>.png", "abc", None, 7)
FINAL = ImageRef("final", final_key(IMAGE))
LABEL = {
    "Name": "scratch",
    "Confidence": 97.1,
    "Geometry": {"BoundingBox": {"Width": 0.1, "Height": 0.1, "Left": 0.1, "Top": 0.1}},
}
LABELLED = LabelDocument.of(IMAGE, FINAL, Detection([LABEL]), MODEL, RUN)
ANOMALOUS = LabelDocument.of(IMAGE, FINAL, Detection([], Anomaly(True, 99.9)), MODEL, RUN)
WHOLE = Detection([{"Name": "good", "Confidence": 99.0}])
DOCUMENTS: dict[str, Stored] = {
    "labelled": LABELLED,
    "labelled, nothing found": LabelDocument.of(IMAGE, FINAL, Detection([]), MODEL, RUN),
    "labelled as a whole": LabelDocument.of(IMAGE, FINAL, WHOLE, MODEL, RUN),
    "labelled, something wrong": ANOMALOUS,
    "rejected image": RejectedImage.of(IMAGE, FINAL, Error("ImageTooLargeException", "too large"), MODEL, RUN),
    "rejected message": RejectedMessage.of(Message("id", "handle", "\ud800"), Error("UnknownMessage", "?"), RUN),
}


def keeps_schema(document: Any) -> bool:
    schema = json.loads(SCHEMA_FILE.read_text())
    return jsonschema.Draft202012Validator(schema).is_valid(document)


def test_the_schema_in_the_repository_is_what_the_models_make() -> None:
    made = json.dumps(documents.json_schema(), indent=2) + "\n"
    command = f"PYTHONPATH=include python -m {documents.__name__} > {SCHEMA_FILE.relative_to(PROJECT)}"
    assert SCHEMA_FILE.read_text() == made, f"the schema is out of date; write it again: {command}"
    jsonschema.Draft202012Validator.check_schema(json.loads(made))


@pytest.mark.parametrize("document", DOCUMENTS.values(), ids=DOCUMENTS)
def test_a_document_keeps_the_schema_and_names_the_version_that_wrote_it(document: Stored) -> None:
    stored = json.loads(document.to_json())
    assert keeps_schema(stored)
    assert stored.pop("version") == __version__
    assert keeps_schema(stored), "documents of earlier versions do not have it"
    assert not keeps_schema(stored | {"unknown": 1})


def test_the_version_is_that_of_the_package() -> None:
    assert tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["version"] == __version__


def test_the_fields_are_written_in_their_order_as_the_contract_shows_them() -> None:
    document = json.loads(LABELLED.to_json())
    assert list(document) == ["schema", "version", "source", "image", "model", "labels", "run"]
    assert list(document["source"]) == ["bucket", "key", "etag", "version_id", "size"]
    assert list(document["run"]) == ["dag_id", "run_id", "map_index", "labelled_at"]
    assert document["source"] == vars(IMAGE)
    assert document["model"] == vars(MODEL)
    assert document["labels"] == [LABEL]
    assert list(document["labels"][0]["Geometry"]["BoundingBox"]) == ["Width", "Height", "Left", "Top"]
    assert json.loads(ANOMALOUS.to_json())["anomaly"] == {"IsAnomalous": True, "Confidence": 99.9}


def test_a_document_is_indented_and_has_characters_of_any_script_as_they_are() -> None:
    text = LABELLED.to_json().decode()
    assert text.startswith('{\n "schema": "label-detection/1",\n "version": "')
    assert '"key": "<b>猫</b>.png"' in text
    assert b'"body": "\\ud800"' in DOCUMENTS["rejected message"].to_json()


def test_a_document_with_the_models_own_thresholds_has_null_as_min_confidence() -> None:
    document = LabelDocument.of(IMAGE, FINAL, Detection([]), replace(MODEL, min_confidence=None), RUN)
    stored = json.loads(document.to_json())
    assert keeps_schema(stored)
    assert stored["model"] == {"arn": MODEL.arn, "min_confidence": None}


@pytest.mark.parametrize("missing", ["schema", "source", "image", "model", "labels", "run"])
def test_the_schema_misses_what_a_label_document_lacks(missing: str) -> None:
    assert not keeps_schema({name: value for name, value in LABELLED.to_dict().items() if name != missing})


@pytest.mark.parametrize(
    "label",
    [
        pytest.param({"Confidence": 1}, id="no name"),
        pytest.param({"Name": "a"}, id="no confidence"),
        pytest.param({"Name": "a", "Confidence": 101}, id="confidence over 100"),
        pytest.param({"Name": "a", "Confidence": 1, "Geometry": {"BoundingBox": {"Left": 1}}}, id="half a box"),
    ],
)
def test_the_schema_does_not_take_half_a_label(label: dict[str, Any]) -> None:
    assert not keeps_schema(LABELLED.to_dict() | {"labels": [label]})
    assert keeps_schema(LABELLED.to_dict() | {"labels": [LABEL | {"Parents": []}]})


@pytest.mark.parametrize("document", [LABELLED, ANOMALOUS], ids=["labels", "an anomaly"])
def test_a_written_document_can_be_read(document: LabelDocument) -> None:
    read = LabelDocument.parse(document.to_json())
    assert read == document
    assert read.is_of(MODEL)
    assert not read.is_of(replace(MODEL, min_confidence=60.0))
    assert not read.is_of(replace(MODEL, arn="arn:aws:another"))


def test_labels_of_an_unnamed_model_belong_to_no_model_but_override_a_rejection() -> None:
    read = LabelDocument.parse(b'{"schema": "label-detection/1", "labels": []}')
    assert read
    assert (read.is_of(MODEL), read.detection) == (False, Detection([]))


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"version": None}, id="no version"),
        pytest.param({"version": 7}, id="an odd version"),
        pytest.param({"fitted": {"scale": 0.5}}, id="a field of a later version"),
        pytest.param({"anomaly": "x"}, id="an odd anomaly"),
        pytest.param({"source": {"size": "x"}, "image": 1, "run": None}, id="odd parts that no reader needs"),
        pytest.param({"anomaly": {"IsAnomalous": 1, "Confidence": 1}}, id="an anomaly that is no boolean"),
    ],
)
def test_a_document_of_another_version_is_read(change: dict[str, Any]) -> None:
    read = LabelDocument.parse(json.dumps(LABELLED.to_dict() | change).encode())
    assert read
    assert read.detection == Detection([LABEL])


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(b"text", id="no JSON"),
        pytest.param(b"[" * 100_000, id="nested too deep"),
        pytest.param(b"[1, 2]", id="a list"),
        pytest.param(b'{"note": "mine"}', id="another program's document"),
        pytest.param(DOCUMENTS["rejected image"].to_json(), id="a rejection"),
        pytest.param(LABELLED.to_json().replace(b"label-detection/1", b"label-detection/2"), id="another schema"),
    ],
)
def test_other_files_are_not_read_as_label_documents(text: bytes) -> None:
    assert LabelDocument.parse(text) is None
