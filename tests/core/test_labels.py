"""Final keys, and that the documents keep their schema."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import jsonschema
import pytest

from label_detection_core.labelling.labels import (
    REJECTED,
    SCHEMA_FILE,
    Anomaly,
    Detection,
    Error,
    ModelInfo,
    RunInfo,
    document_key,
    final_key,
    is_final_key,
    label_document,
    rejected_document,
    rejected_message,
    to_json,
)
from label_detection_core.queue.messages import ImageRef, Message

MODEL = ModelInfo("arn:aws:rekognition:eu-west-1:123456789012:project/p/version/v/1", 70.0)
RUN = RunInfo("label_detection", "manual__2026-11-22T06:00:00+00:00", 0)


@pytest.mark.parametrize(
    ("key", "final"),
    [
        pytest.param("part.png", r"part-[0-9a-f]{10}\.png", id="plain"),
        pytest.param("line 3/part.png", r"line 3/part-[0-9a-f]{10}\.png", id="in a folder"),
        pytest.param("part.final.JPG", r"part\.final-[0-9a-f]{10}\.JPG", id="two dots, upper case"),
        pytest.param("v1.2/part", r"v1\.2/part-[0-9a-f]{10}", id="a dot in the folder alone"),
        pytest.param(".png", r"-[0-9a-f]{10}\.png", id="nothing but a suffix"),
        pytest.param("猫+é%.jpeg", r"猫\+é%-[0-9a-f]{10}\.jpeg", id="beyond ASCII"),
        pytest.param("runs", r"runs-[0-9a-f]{10}", id="named as a folder of the bucket"),
        pytest.param("line/runs/a.png", r"line/runs/a-[0-9a-f]{10}\.png", id="a folder of that name deeper down"),
        pytest.param("Runs/a.png", r"Runs/a-[0-9a-f]{10}\.png", id="in capitals"),
    ],
)
def test_the_id_stands_before_the_suffix(key: str, final: str) -> None:
    assert re.fullmatch(final, final_key(ImageRef("parts", key, "abc")))


def test_the_key_is_a_function_of_bucket_key_and_etag() -> None:
    images = [ImageRef(b, k, e) for b in ("b1", "b2") for k in ("k1.png", "k2.png") for e in ("e1", "e2")]
    assert len({final_key(image) for image in images}) == 8
    again = ImageRef("b1", "k1.png", "e1", version_id="v7", size=9)
    assert final_key(again) == final_key(images[0])


@pytest.mark.parametrize("prefix", ["", REJECTED], ids=["labelled", "rejected"])
@pytest.mark.parametrize(
    "key",
    [
        pytest.param("x" * 996 + ".png", id="1,000 bytes"),
        pytest.param("x" * 1020 + ".png", id="1,024 bytes"),
        pytest.param("猫" * 340 + ".png", id="1,024 bytes of three-byte characters"),
        pytest.param("a." + "x" * 1022, id="a suffix of 1,022 bytes"),
        pytest.param("a/" * 512, id="folders only"),
    ],
)
def test_no_key_passes_1024_bytes_and_the_id_stays(key: str, prefix: str) -> None:
    image = ImageRef("parts", key, "abc")
    final = final_key(image, prefix)
    assert len(document_key(final).encode()) <= 1024
    assert re.search(r"-[0-9a-f]{10}(\.png)?$", final)
    assert final.startswith(prefix)


@pytest.mark.parametrize("folder", ["rejected/", "runs/", "reviews/", "exports/", "_/"])
@pytest.mark.parametrize("name", ["", "a.png", "a", "runs/a.png", "messages/a.png", "x" * 1010, "/" * 900])
def test_a_key_that_begins_with_a_folder_of_the_bucket_goes_aside(folder: str, name: str) -> None:
    image = ImageRef("parts", folder + name, "abc")
    assert final_key(image).startswith(f"_/{folder}")
    assert final_key(image, REJECTED).startswith(f"rejected/_/{folder}")
    for prefix in ("", REJECTED):
        assert len(document_key(final_key(image, prefix)).encode()) <= 1024


@pytest.mark.parametrize("prefix", ["", REJECTED], ids=["labelled", "rejected"])
def test_a_final_key_of_a_version_without_the_folder_aside_is_known(prefix: str) -> None:
    image = ImageRef("parts", "runs/a.png", "abc")
    before = final_key(image, prefix).replace("_/", "")
    assert is_final_key(before, image, prefix)
    assert is_final_key(final_key(image, prefix), image, prefix)
    assert not is_final_key("runs/a.png", image, prefix)
    assert not is_final_key(before, replace(image, etag="e2"), prefix)


def test_a_key_that_fits_is_not_cut() -> None:
    key = "x" * 996 + ".png"
    assert final_key(ImageRef("parts", key, "abc")).startswith("x" * 996 + "-")


IMAGE = ImageRef("parts", "<b>猫</b>.png", "abc", None, 7)
FINAL = ImageRef("final", final_key(IMAGE))
LABEL = {
    "Name": "scratch",
    "Confidence": 97.1,
    "Geometry": {"BoundingBox": {"Width": 0.1, "Height": 0.1, "Left": 0.1, "Top": 0.1}},
}
DOCUMENTS = {
    "labelled": label_document(IMAGE, FINAL, Detection([LABEL]), MODEL, RUN),
    "labelled, nothing found": label_document(IMAGE, FINAL, Detection([]), MODEL, RUN),
    "labelled as a whole": label_document(IMAGE, FINAL, Detection([{"Name": "good", "Confidence": 99.0}]), MODEL, RUN),
    "labelled, nothing wrong": label_document(IMAGE, FINAL, Detection([], Anomaly(False, 99.9)), MODEL, RUN),
    "rejected image": rejected_document(IMAGE, FINAL, Error("ImageTooLargeException", "too large"), MODEL, RUN),
    "rejected message": rejected_message(Message("id", "handle", "\ud800"), Error("UnknownMessage", "?"), RUN),
}


@pytest.mark.parametrize("document", DOCUMENTS.values(), ids=DOCUMENTS)
def test_a_document_keeps_the_schema_as_it_is_stored(document: dict[str, Any]) -> None:
    schema = json.loads(SCHEMA_FILE.read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(json.loads(to_json(document)), schema, jsonschema.Draft202012Validator)


def test_a_document_by_the_models_own_thresholds_says_null() -> None:
    document = label_document(IMAGE, FINAL, Detection([]), replace(MODEL, min_confidence=None), RUN)
    stored = json.loads(to_json(document))
    jsonschema.validate(stored, json.loads(SCHEMA_FILE.read_text()), jsonschema.Draft202012Validator)
    assert stored["model"] == {"arn": MODEL.arn, "min_confidence": None}


@pytest.mark.parametrize("missing", ["schema", "source", "image", "model", "labels", "run"])
def test_the_schema_misses_what_a_label_document_lacks(missing: str) -> None:
    document = {name: value for name, value in DOCUMENTS["labelled"].items() if name != missing}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, json.loads(SCHEMA_FILE.read_text()), jsonschema.Draft202012Validator)


def test_the_service_s_labels_are_kept_as_they_came() -> None:
    assert DOCUMENTS["labelled"]["labels"] == [LABEL]
