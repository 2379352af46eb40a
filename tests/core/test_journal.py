"""An image's line in the journal, and what a page shows of it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from label_detection_core.drain.journal import Journal, read_journal, read_lines
from label_detection_core.drain.journal_line import JournalLine
from label_detection_core.drain.pace import Calls
from label_detection_core.labelling.labeller import Outcome, Result
from label_detection_core.labelling.labels import Anomaly, Detection, Error
from label_detection_core.queue.messages import Ignored, ImageRef
from label_detection_core.run.gallery import Gallery, Wanted
from tests.conftest import Aws
from tests.core.conftest import RUN, MakeLabeller
from tests.core.images import upload

ANOMALY = {"IsAnomalous": True, "Confidence": 88.0}


def noted(aws: Aws, *results: Result) -> list[dict[str, Any]]:
    """The lines of a journal to which these results were added."""
    journal = Journal(aws.s3, aws.settings.final_bucket, RUN)
    for result in results:
        journal.add(result)
    journal.write()
    return list(read_lines(aws.s3, aws.settings.final_bucket, RUN.run_id))


def test_a_redelivered_image_keeps_its_anomaly_in_the_journal_and_on_the_page(
    aws: Aws, make_labeller: MakeLabeller, picture: bytes
) -> None:
    def detect(image: ImageRef, _: float | None) -> Detection:
        asked.append(image)
        return Detection([], Anomaly(True, 88.0))

    asked: list[ImageRef] = []
    labeller = make_labeller(detect=detect)
    image = upload(aws, "a.png", picture)
    first = labeller.label(image, 1)
    upload(aws, "a.png", picture)  # the state after a task was killed before it deleted the source
    again = labeller.label(image, 2)
    assert len(asked) == 1
    lines = noted(aws, first, again)
    assert [line["anomaly"] for line in lines] == [ANOMALY, ANOMALY]
    (shown,) = Gallery(aws.s3, aws.settings.final_bucket, RUN.run_id).page(Wanted(), None, 24).images
    assert shown["anomaly"] == ANOMALY


def test_a_line_has_the_reason_for_which_an_image_was_ignored(aws: Aws) -> None:
    image = ImageRef("parts", "a.png", "e")
    first, second = noted(
        aws,
        Result(Outcome.IGNORED, image, reason="message m: ObjectRemoved:Delete", ignored=Ignored.REMOVED),
        Result(Outcome.LABELLED, image, "a-1.png"),
    )
    assert (first["ignored"], first["source"]["key"]) == ("removed", "a.png")
    assert second["ignored"] is None


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({}, id="a line of the first version"),
        pytest.param({"later": 1}, id="a field of a later version"),
        pytest.param({"seconds": "x", "throttled": None, "worked": [], "lag": True, "task": "0"}, id="odd numbers"),
        pytest.param({"seconds": float("nan"), "worked": float("inf")}, id="numbers that JSON does not have"),
        pytest.param({"anomaly": "x", "error": "x", "at": 5}, id="odd parts"),
        pytest.param({"reason": "\ud800"}, id="half a surrogate pair"),
    ],
)
def test_a_line_of_another_version_or_with_odd_values_is_read(change: dict[str, Any]) -> None:
    first = {"outcome": "labelled", "image": "a-1.png", "labels": [{"Name": "cat", "Confidence": 9}]}
    line = JournalLine.parse(json.dumps(first | change).encode())
    assert line
    assert (line.outcome, line.image, line.labels) == ("labelled", "a-1.png", first["labels"])
    assert (line.seconds, line.throttled, line.worked, line.lag, line.task) == (None, 0, None, None, 0)
    assert (line.anomaly, line.error, line.moment) == (None, None, None)


def test_a_written_line_can_be_read_and_its_fields_have_their_order(aws: Aws) -> None:
    image = ImageRef("parts", "猫\ud800.png", "e", "v", 7)
    result = Result(Outcome.REJECTED, image, "rejected/a", error=Error("Bad", "no"), anomaly=ANOMALY)
    line = JournalLine.of(result, Calls(0.12345, 2, 0.1, 0.5), None, task=3)
    assert JournalLine.parse(line.to_text().encode(errors="backslashreplace")) == line
    assert list(line.to_dict()) == [
        *("outcome", "source", "image", "labels", "anomaly", "error", "reason", "ignored"),
        *("seconds", "throttled", "worked", "lag", "task", "at"),
    ]
    assert line.to_dict()["source"] == {"bucket": "parts", "key": "猫\ud800.png", "etag": "e"}
    assert (line.seconds, line.anomaly and line.anomaly.to_dict()) == (0.1235, ANOMALY)


def test_a_line_that_is_not_the_journals_is_left_out_of_the_totals_and_logged(
    aws: Aws, caplog: pytest.LogCaptureFixture
) -> None:
    noted(aws, Result(Outcome.LABELLED, ImageRef("parts", "a.png", "e"), "a-1.png"))
    key = f"runs/{RUN.run_id}/images/000-deadbeef-000000.jsonl"
    aws.s3.put_object(Bucket=aws.settings.final_bucket, Key=key, Body=b'{\n[]\n{"outcome": "labelled"}\n')
    lines = list(read_journal(aws.s3, aws.settings.final_bucket, RUN.run_id))
    assert [line.image for line in lines] == ["a-1.png"]
    assert "3 invalid lines in the run's journal" in caplog.text
