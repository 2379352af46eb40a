"""What the journal's line of an image has, and what a page shows of it."""

from __future__ import annotations

from typing import Any

from label_detection_core.drain.journal import Journal, read_lines
from label_detection_core.labelling.labeller import Outcome, Result
from label_detection_core.labelling.labels import Anomaly, Detection
from label_detection_core.queue.messages import Ignored, ImageRef
from label_detection_core.run.gallery import Gallery, Wanted
from tests.conftest import Aws
from tests.core.conftest import RUN, MakeLabeller
from tests.core.images import upload

ANOMALY = {"IsAnomalous": True, "Confidence": 88.0}


def noted(aws: Aws, *results: Result) -> list[dict[str, Any]]:
    """The lines of a journal that took these results."""
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
    upload(aws, "a.png", picture)  # as it lies after a task was killed before it deleted the source
    again = labeller.label(image, 2)
    assert len(asked) == 1
    lines = noted(aws, first, again)
    assert [line["anomaly"] for line in lines] == [ANOMALY, ANOMALY]
    (shown,) = Gallery(aws.s3, aws.settings.final_bucket, RUN.run_id).page(Wanted(), None, 24).images
    assert shown["anomaly"] == ANOMALY


def test_a_line_says_by_which_reason_an_image_was_ignored(aws: Aws) -> None:
    image = ImageRef("parts", "a.png", "e")
    first, second = noted(
        aws,
        Result(Outcome.IGNORED, image, reason="message m: ObjectRemoved:Delete", ignored=Ignored.REMOVED),
        Result(Outcome.LABELLED, image, "a-1.png"),
    )
    assert (first["ignored"], first["source"]["key"]) == ("removed", "a.png")
    assert second["ignored"] is None
