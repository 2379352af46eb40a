"""The outcome of an image: tables of the answers of S3 and the model. No service is called."""

from __future__ import annotations

import pytest

from label_detection_core.labelling import decisions
from label_detection_core.labelling.decisions import SHORT_SECONDS, UNDECIDED_SECONDS, Begun, Outcome, Result
from label_detection_core.labelling.keys import Keys
from label_detection_core.labelling.labels import Anomaly, Detection, Error
from label_detection_core.queue.messages import Ignored, ImageRef

IMAGE = ImageRef("parts", "a.png", "e1")
KEYS = Keys.of(IMAGE, "final")
ERROR = Error("AccessDenied", "no")
FOUND = Detection([{"Name": "cat", "Confidence": 90.0}], Anomaly(True, 88.0))
MOST = 5


def test_the_result_of_a_labelled_image_has_its_labels_and_its_key() -> None:
    result = decisions.labelled(KEYS, FOUND)
    assert (result.outcome, result.source, result.image_key) == (Outcome.LABELLED, IMAGE, KEYS.labelled.image.key)
    assert (result.labels, result.anomaly) == (FOUND.labels, {"IsAnomalous": True, "Confidence": 88.0})


def test_labelled_wins_over_rejected() -> None:
    assert decisions.rejected(KEYS, ERROR, FOUND) == decisions.labelled(KEYS, FOUND)
    result = decisions.rejected(KEYS, ERROR, None)
    assert (result.outcome, result.image_key, result.error) == (Outcome.REJECTED, KEYS.rejected.image.key, ERROR)


@pytest.mark.parametrize(
    ("result", "seconds", "is_own"),
    [
        pytest.param(decisions.failed(IMAGE, ERROR, 1), 2, False, id="first delivery"),
        pytest.param(decisions.failed(IMAGE, ERROR, 3), 32, False, id="third delivery"),
        pytest.param(decisions.failed(IMAGE, ERROR, 99), 900, False, id="a quarter of an hour at most"),
        pytest.param(decisions.failed(IMAGE, ERROR, 99, soon=True), SHORT_SECONDS, False, id="throttled"),
        pytest.param(decisions.failed(IMAGE, ERROR, 1, is_own=True), 2, True, id="a failure of this image"),
        pytest.param(decisions.undecided(IMAGE, ERROR, before=False), SHORT_SECONDS, True, id="not known yet"),
        pytest.param(decisions.undecided(IMAGE, ERROR, before=True), UNDECIDED_SECONDS, True, id="still not known"),
    ],
)
def test_how_long_a_message_is_hidden(result: Result, seconds: float, is_own: bool) -> None:
    assert (result.outcome, result.retry_seconds, result.is_own) == (Outcome.FAILED, seconds, is_own)
    assert not result.is_final


@pytest.mark.parametrize(
    ("receives", "throttled", "may_be"),
    [(1, False, False), (MOST - 1, False, False), (MOST, False, True), (MOST, True, False), (99, True, False)],
)
def test_an_image_that_the_model_fails_for_may_be_the_cause_after_many_deliveries(
    receives: int, throttled: bool, may_be: bool
) -> None:
    assert decisions.may_be_to_blame(receives, MOST, throttled=throttled) is may_be


@pytest.mark.parametrize(
    ("receives", "labels_another", "is_to_blame"),
    [(MOST, False, False), (MOST, True, True), (10 * MOST - 1, False, False), (10 * MOST, False, True)],
)
def test_an_image_is_the_cause_if_the_model_labels_another_or_none_was_labelled_for_long(
    receives: int, labels_another: bool, is_to_blame: bool
) -> None:
    assert decisions.is_to_blame(receives, MOST, labels_another=labels_another) is is_to_blame


@pytest.mark.parametrize(
    ("receives", "was_taken", "believed"),
    [(1, False, True), (1, True, False), (10 * MOST - 1, True, False), (10 * MOST, True, True)],
)
def test_a_refusal_of_an_image_that_was_labelled_before_counts_at_the_last_delivery(
    receives: int, was_taken: bool, believed: bool
) -> None:
    assert decisions.is_believed(receives, MOST, was_taken=was_taken) is believed


@pytest.mark.parametrize(
    ("receives", "before", "many", "is_the_images"),
    [
        pytest.param(MOST, True, False, True, id="again, with no deliveries left"),
        pytest.param(MOST, False, False, False, id="new to this task"),
        pytest.param(MOST - 1, True, False, False, id="deliveries are left"),
        pytest.param(MOST, True, True, False, id="refused like all others"),
    ],
)
def test_a_request_that_may_be_wrong_for_all_rejects_an_image_only_after_some_doubt(
    receives: int, before: bool, many: bool, is_the_images: bool
) -> None:
    assert decisions.is_the_images(receives, MOST, before=before, many=many) is is_the_images


UNDECIDED, OWN = UNDECIDED_SECONDS, decisions.retry_seconds(MOST - 1)


@pytest.mark.parametrize(
    ("receives", "certain", "evidence", "before", "outcome", "seconds"),
    [
        pytest.param(MOST, True, False, False, Outcome.UNREADABLE, 0, id="certain, the last delivery"),
        pytest.param(MOST - 1, True, False, False, Outcome.FAILED, OWN, id="certain, deliveries are left"),
        pytest.param(MOST, False, True, True, Outcome.UNREADABLE, 0, id="evidence, the last delivery"),
        pytest.param(MOST - 1, False, True, True, Outcome.FAILED, UNDECIDED, id="evidence, deliveries are left"),
        pytest.param(99, False, False, True, Outcome.FAILED, UNDECIDED, id="nothing is known, for long"),
        pytest.param(1, False, False, False, Outcome.FAILED, SHORT_SECONDS, id="nothing is known, new to this task"),
    ],
)
def test_an_object_that_cannot_be_read_is_unreadable_when_it_is_the_cause(
    receives: int, certain: bool, evidence: bool, before: bool, outcome: Outcome, seconds: float
) -> None:
    result = decisions.unreadable(IMAGE, ERROR, receives, MOST, certain=certain, evidence=evidence, before=before)
    assert (result.outcome, result.retry_seconds) == (outcome, seconds)
    assert result.is_own is (outcome is Outcome.FAILED)


@pytest.mark.parametrize(
    ("etag", "has_document", "is_copy_of_version", "begun"),
    [
        pytest.param(None, False, True, Begun.NOTHING, id="no copy"),
        pytest.param("e1", True, True, Begun.ENDED, id="copy and document"),
        pytest.param("e2", True, False, Begun.ENDED, id="a document, whatever the eTag"),
        pytest.param("e1", False, True, Begun.CUT_OFF, id="a copy alone"),
        pytest.param("multipart-2", False, True, Begun.CUT_OFF, id="a copy has an eTag of its own"),
        pytest.param("e1", False, False, Begun.CUT_OFF, id="S3 copies what is there: the same eTag"),
        pytest.param("e2", False, False, Begun.OTHERS, id="S3 copies what is there: another eTag"),
    ],
)
def test_a_copy_decides_the_outcome_of_an_image_whose_source_is_gone(
    etag: str | None, has_document: bool, is_copy_of_version: bool, begun: Begun
) -> None:
    found = decisions.begun(IMAGE, etag, has_document=has_document, is_copy_of_version=is_copy_of_version)
    assert found is begun


@pytest.mark.parametrize("why", list(Ignored))
def test_an_ignored_event_is_final_and_has_its_reason(why: Ignored) -> None:
    result = decisions.ignored(IMAGE, why)
    assert (result.outcome, result.reason, result.ignored, result.is_final) == (Outcome.IGNORED, str(why), why, True)
