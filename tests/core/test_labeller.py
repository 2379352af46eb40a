"""One image, one outcome, for every file and for every change during the work on it."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest

from label_detection_core.labelling.documents import SCHEMA_FILE
from label_detection_core.labelling.keys import REJECTED, final_key
from label_detection_core.labelling.labeller import Outcome
from label_detection_core.labelling.labels import Detection
from label_detection_core.queue.messages import ImageRef
from tests.conftest import Aws
from tests.core.conftest import MakeLabeller
from tests.core.images import FOUND, GIF, TEXT, detect, outcomes, upload
from tests.core.test_messages import KEYS
from tests.model_calls import KINDS

kinds = pytest.mark.kinds(*KINDS)


@kinds
@pytest.mark.parametrize("key", [*KEYS[:-3], "x" * 996 + ".png"], ids=lambda key: key[:20])
def test_an_image_is_labelled_under_its_own_name(
    aws: Aws, make_labeller: MakeLabeller, picture: bytes, key: str
) -> None:
    image = upload(aws, key, picture)
    result = make_labeller().label(image, 1)
    assert (result.outcome, result.image_key) == (Outcome.LABELLED, final_key(image))
    assert outcomes(aws, image) == ["labelled"]
    assert aws.read(final_key(image)) == picture
    document = json.loads(aws.read(final_key(image) + ".json"))
    jsonschema.validate(document, json.loads(SCHEMA_FILE.read_text()), jsonschema.Draft202012Validator)
    assert document["source"]["key"] == key
    assert result.anomaly == document.get("anomaly")
    assert document["image"] == {"bucket": aws.settings.final_bucket, "key": final_key(image)}


def test_content_type_metadata_and_tags_are_copied(aws: Aws, make_labeller: MakeLabeller, picture: bytes) -> None:
    image = upload(aws, "a.png", picture, ContentType="image/png", Metadata={"line": "3"}, Tagging="shift=night")
    make_labeller().label(image, 1)
    copied: dict[str, Any] = {"Bucket": aws.settings.final_bucket, "Key": final_key(image)}
    head = aws.s3.head_object(**copied)
    assert (head["ContentType"], head["Metadata"]) == ("image/png", {"line": "3"})
    assert aws.s3.get_object_tagging(**copied)["TagSet"] == [{"Key": "shift", "Value": "night"}]


@pytest.mark.parametrize(
    ("original", "wanted", "copied"),
    [
        pytest.param(None, None, "STANDARD", id="standard"),
        pytest.param("STANDARD_IA", None, "STANDARD_IA", id="infrequent access"),
        pytest.param("INTELLIGENT_TIERING", None, "INTELLIGENT_TIERING", id="tiering"),
        pytest.param("STANDARD_IA", "ONEZONE_IA", "ONEZONE_IA", id="another class in the option"),
        pytest.param("STANDARD_IA", "STANDARD", "STANDARD", id="the standard class in the option"),
    ],
)
def test_a_copy_keeps_its_storage_class_or_has_the_one_that_is_wanted(
    aws: Aws, make_labeller: MakeLabeller, picture: bytes, original: str | None, wanted: str | None, copied: str
) -> None:
    image = upload(aws, "a.png", picture, **({"StorageClass": original} if original else {}))
    make_labeller(storage_class=wanted, detect=detect).label(image, 1)
    head = aws.s3.head_object(Bucket=aws.settings.final_bucket, Key=final_key(image))
    assert head.get("StorageClass", "STANDARD") == copied


def test_the_copy_of_a_restored_object_is_not_archived(aws: Aws, make_labeller: MakeLabeller, picture: bytes) -> None:
    image = upload(aws, "a.png", picture, StorageClass="GLACIER")
    aws.s3.restore_object(
        Bucket=image.bucket, Key="a.png", RestoreRequest={"Days": 1, "GlacierJobParameters": {"Tier": "Standard"}}
    )
    assert make_labeller(detect=detect).label(image, 1).outcome is Outcome.LABELLED
    head = aws.s3.head_object(Bucket=aws.settings.final_bucket, Key=final_key(image))
    assert head.get("StorageClass", "STANDARD") == "STANDARD"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        pytest.param(TEXT, "InvalidImageFormatException", id="text"),
        pytest.param(b"", "InvalidImageFormatException", id="empty"),
        pytest.param(GIF, "InvalidImageFormatException", id="GIF"),
        pytest.param(bytes(25 * 1024 * 1024 + 1), "ImageTooLargeException", id="over 25 MB"),
    ],
)
@kinds
def test_an_image_that_the_model_refuses_is_rejected_with_the_services_own_error(
    aws: Aws, make_labeller: MakeLabeller, body: bytes, code: str
) -> None:
    image = upload(aws, "bad.png", body)
    result = make_labeller().label(image, 1)
    assert result.outcome is Outcome.REJECTED
    assert outcomes(aws, image) == ["rejected"]
    document = json.loads(aws.read(final_key(image, REJECTED) + ".json"))
    jsonschema.validate(document, json.loads(SCHEMA_FILE.read_text()), jsonschema.Draft202012Validator)
    assert document["error"]["code"] == code
    assert aws.read(final_key(image, REJECTED)) == body


@kinds
def test_an_image_that_is_gone_is_ignored(aws: Aws, make_labeller: MakeLabeller) -> None:
    image = ImageRef(aws.settings.source_bucket, "gone.png", "abc")
    result = make_labeller().label(image, 1)
    assert (result.outcome, result.reason) == (Outcome.IGNORED, "gone")
    assert aws.final_keys() == []


@kinds
@pytest.mark.parametrize("moment", ["before detect", "after detect", "after the copy", "after the document"])
def test_an_overwritten_image_is_left_for_its_own_event(
    aws: Aws, make_labeller: MakeLabeller, picture: bytes, moment: str
) -> None:
    old = upload(aws, "a.png", picture)

    def overwrite() -> None:
        aws.upload("a.png", picture + b"new")

    def overwritten(*_: object) -> Detection:
        overwrite()
        return FOUND

    labeller = make_labeller(s3=Interrupted(aws.s3, moment, overwrite))
    if moment == "before detect":
        overwrite()
    if moment == "after detect":
        labeller = make_labeller(detect=overwritten)
    labeller.label(old, 1)
    assert aws.source_keys() == ["a.png"]
    new = ImageRef(
        aws.settings.source_bucket, "a.png", aws.s3.head_object(Bucket=old.bucket, Key="a.png")["ETag"][1:-1]
    )
    assert outcomes(aws, new) == ["pending"]
    make_labeller().label(new, 1)
    assert outcomes(aws, new) == ["labelled"]
    assert aws.read(final_key(new)) == picture + b"new"


class Interrupted:
    """An S3 client that runs an action once, after the copy or after the document."""

    def __init__(self, s3: Any, moment: str, act: Any) -> None:
        self._s3, self._moment, self._act = s3, moment, act

    def __getattr__(self, name: str) -> Any:
        moments = {"copy_object": "after the copy", "put_object": "after the document"}
        if moments.get(name) != self._moment:
            return getattr(self._s3, name)

        def call(**request: Any) -> Any:
            answer = getattr(self._s3, name)(**request)
            self._act()
            return answer

        return call
