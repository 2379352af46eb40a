"""S3 services that do not support conditional copies and deletes as AWS does."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from label_detection_core.labelling.conditions import Conditions, probe
from label_detection_core.labelling.keys import final_key
from label_detection_core.labelling.labeller import Outcome
from label_detection_core.labelling.labels import Detection
from tests.conftest import Aws
from tests.core.conftest import MakeLabeller
from tests.core.images import FOUND, detect, outcomes, upload

_CONDITIONS = {"copy_object": "CopySourceIfMatch", "delete_object": "IfMatch"}


class OtherS3:
    """An S3 that answers 501 to conditions, or ignores them; `conditional`: calls that had one."""

    def __init__(self, s3: Any, mode: str, operations: set[str] | None = None) -> None:
        self._s3, self._mode = s3, mode
        self._operations = operations or set(_CONDITIONS)
        self.conditional = 0

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._s3, name)
        if name not in self._operations:
            return call

        def other(**request: Any) -> Any:
            if request.pop(_CONDITIONS[name], None) is not None:
                self.conditional += 1
                if self._mode == "refused":
                    answer: Any = {"Error": {"Code": "NotImplemented"}, "ResponseMetadata": {"HTTPStatusCode": 501}}
                    raise ClientError(answer, name)
            return call(**request)

        return other


@pytest.mark.parametrize("mode", ["refused", "ignored"])
@pytest.mark.parametrize(
    ("operations", "found"),
    [
        pytest.param({"copy_object"}, Conditions(copies=False), id="copies"),
        pytest.param({"delete_object"}, Conditions(deletes=False), id="deletes"),
        pytest.param({"copy_object", "delete_object"}, Conditions(copies=False, deletes=False), id="both"),
    ],
)
def test_the_probe_finds_the_conditions_that_s3_ignores_and_leaves_no_object(
    aws: Aws, mode: str, operations: set[str], found: Conditions
) -> None:
    s3: Any = OtherS3(aws.s3, mode, operations)
    assert probe(s3, aws.settings.final_bucket, "runs/r/conditions-probe") == found
    assert aws.keys(aws.settings.final_bucket) == []
    assert len(found.warnings()) == len(operations)


def test_the_probe_finds_that_aws_supports_conditions(aws: Aws) -> None:
    assert probe(aws.s3, aws.settings.final_bucket, "runs/r/conditions-probe") == Conditions()
    assert aws.keys(aws.settings.final_bucket) == []
    assert Conditions().warnings() == []


def test_a_probe_that_may_not_delete_is_no_sign_of_another_s3(aws: Aws) -> None:
    aws.fail("s3", "DeleteObject", status=403, code="AccessDenied")
    assert probe(aws.s3, aws.settings.final_bucket, "probe") == Conditions()


@pytest.mark.parametrize("outcome", ["labelled", "rejected"])
@pytest.mark.parametrize(
    ("mode", "conditions"),
    [
        pytest.param("refused", Conditions(copies=False, deletes=False), id="the probe saw 501"),
        pytest.param("refused", Conditions(), id="501, and the probe did not see it"),
        pytest.param("ignored", Conditions(copies=False, deletes=False), id="conditions are ignored"),
    ],
)
def test_an_image_has_its_outcome_on_an_s3_without_conditions(
    aws: Aws, make_labeller: MakeLabeller, picture: bytes, mode: str, conditions: Conditions, outcome: str
) -> None:
    images = [upload(aws, f"{n}.png", picture if outcome == "labelled" else b"text") for n in range(3)]
    s3 = OtherS3(aws.s3, mode)
    labeller = make_labeller(s3=s3, conditions=conditions)
    for image in images:
        assert labeller.label(image, 1).outcome == outcome
        assert outcomes(aws, image) == [outcome]
    assert s3.conditional == (2 if conditions == Conditions() else 0)  # the first image has shown it


@pytest.mark.parametrize("mode", ["refused", "ignored"])
@pytest.mark.parametrize("moment", ["before its turn", "while the model looks", "during the copy"])
def test_an_image_that_is_overwritten_is_never_labelled_under_the_etag_of_the_first(
    aws: Aws, make_labeller: MakeLabeller, picture: bytes, mode: str, moment: str
) -> None:
    first = upload(aws, "a.png", picture)
    if moment == "before its turn":
        upload(aws, "a.png", picture + b"new")

    def looks(*_: Any) -> Detection:
        if moment == "while the model looks":
            upload(aws, "a.png", picture + b"new")
        return FOUND

    class Overwriting(OtherS3):
        def __getattr__(self, name: str) -> Any:
            if name == "copy_object" and moment == "during the copy":
                upload(aws, "a.png", picture + b"new")
            return super().__getattr__(name)

    without = Conditions(copies=False, deletes=False)
    result = make_labeller(s3=Overwriting(aws.s3, mode), conditions=without, detect=looks).label(first, 1)
    assert result.outcome is Outcome.IGNORED
    assert (aws.final_keys(), aws.source_keys()) == ([], ["a.png"])
    second = upload(aws, "a.png", picture + b"new")
    make_labeller(s3=OtherS3(aws.s3, mode), conditions=without, detect=detect).label(second, 1)
    assert aws.read(final_key(second)) == picture + b"new"
    assert outcomes(aws, second) == ["labelled"]


@pytest.mark.parametrize("by_now", ["it lies there", "its own event has had it labelled"])
def test_a_copy_of_an_unknown_version_that_a_killed_delivery_left_is_not_labelled(
    aws: Aws, make_labeller: MakeLabeller, picture: bytes, by_now: str
) -> None:
    first = upload(aws, "a.png", picture)
    second = upload(aws, "a.png", picture + b"new")
    copied: Any = {"Bucket": second.bucket, "Key": "a.png"}
    aws.s3.copy_object(Bucket=aws.settings.final_bucket, Key=final_key(first), CopySource=copied)
    without = Conditions(copies=False, deletes=False)
    labeller = make_labeller(s3=OtherS3(aws.s3, "ignored"), conditions=without, detect=detect)
    if by_now != "it lies there":
        assert labeller.label(second, 1).outcome is Outcome.LABELLED
    assert labeller.label(first, 2).outcome is Outcome.IGNORED
    left = [] if by_now == "it lies there" else [final_key(second), f"{final_key(second)}.json"]
    assert aws.final_keys() == left
    assert aws.source_keys() == ([] if left else ["a.png"])


def test_another_version_that_is_copied_and_labelled_meanwhile_is_labelled_under_its_own_etag_alone(
    aws: Aws, make_labeller: MakeLabeller, picture: bytes
) -> None:
    without = Conditions(copies=False, deletes=False)
    first = upload(aws, "a.png", picture)

    class Overtaken(OtherS3):
        def copy_object(self, **request: Any) -> Any:
            second = upload(aws, "a.png", picture + b"new")
            answer = aws.s3.copy_object(**request)
            make_labeller(s3=OtherS3(aws.s3, "ignored"), conditions=without, detect=detect).label(second, 1)
            return answer

    result = make_labeller(s3=Overtaken(aws.s3, "ignored"), conditions=without, detect=detect).label(first, 1)
    assert (result.outcome, outcomes(aws, first), aws.source_keys()) == (Outcome.IGNORED, [], [])


@pytest.mark.parametrize("moment", ["before the copy", "after the copy"])
def test_two_deliveries_at_once_on_such_an_s3_leave_the_image_labelled(
    aws: Aws, make_labeller: MakeLabeller, picture: bytes, moment: str
) -> None:
    image = upload(aws, "a.png", picture)
    without = Conditions(copies=False, deletes=False)

    class Overtaken(OtherS3):
        def copy_object(self, **request: Any) -> Any:
            other = make_labeller(s3=OtherS3(aws.s3, "ignored"), conditions=without, detect=detect)
            if moment == "before the copy":
                other.label(image, 1)
            answer = aws.s3.copy_object(**request)
            other.label(image, 1)
            return answer

    make_labeller(s3=Overtaken(aws.s3, "ignored"), conditions=without, detect=detect).label(image, 2)
    assert outcomes(aws, image) == ["labelled"]
    assert aws.read(final_key(image)) == picture
