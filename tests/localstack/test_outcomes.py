"""Each case has its expected outcome, on LocalStack and on the embedded AWS."""

from __future__ import annotations

from typing import Any

import pytest

from label_detection_core.labelling.keys import final_key
from tests.localstack.cases import CONTENT_TYPE, METADATA, TAGS, WITH_METADATA, Case, Outcome, cases
from tests.localstack.outcomes import Arrived, document
from tests.localstack.server import Maker

_CASES = [pytest.param(maker, case, id=f"{maker}-{case.name}") for maker in Maker for case in cases(maker)]
each_aws = pytest.mark.parametrize("arrived", Maker, ids=str, indirect=True)


@pytest.mark.parametrize(("arrived", "case"), _CASES, indirect=["arrived"])
def test_each_case_has_its_outcome(arrived: Arrived, case: Case) -> None:
    assert arrived.outcome(case) is case.wanted


@each_aws
def test_no_task_fails_and_no_message_is_left(arrived: Arrived) -> None:
    assert arrived.failures == []
    assert arrived.place.is_empty()


@each_aws
def test_the_labels_are_those_of_the_picture(arrived: Arrived) -> None:
    wrong, looked_at = [], 0
    for case, trace, outcome in zip(arrived.cases, arrived.traces, arrived.seen, strict=True):
        if outcome is Outcome.LABELLED and trace.image and trace.scene:
            found = document(arrived.place, trace.image)
            looked_at += 1
            source = (found["source"]["key"], found["source"]["etag"])
            names = {label["Name"] for label in found["labels"]}
            if source != (trace.image.key, trace.image.etag) or names != {trace.scene.rsplit(" ", 1)[0]}:
                wrong.append((case.name, source, names))
    assert wrong == []
    assert looked_at > 80


@each_aws
def test_metadata_tags_and_content_type_are_copied(arrived: Arrived) -> None:
    (image,) = (trace.image for trace in arrived.traces if trace.image and trace.image.key == WITH_METADATA)
    s3 = arrived.place.aws.s3
    final: dict[str, Any] = {"Bucket": arrived.place.final_bucket, "Key": final_key(image)}
    head = s3.head_object(**final)
    assert (head["Metadata"], head["ContentType"]) == (METADATA, CONTENT_TYPE)
    tags = {tag["Key"]: tag["Value"] for tag in s3.get_object_tagging(**final)["TagSet"]}
    assert tags == TAGS
