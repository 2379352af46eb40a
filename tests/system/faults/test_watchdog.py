"""The watchdog leaves other models alone, and reports what it did."""

from __future__ import annotations

import json
import time

import pytest

from tests.system.faults.breaking import BreakablePipeline
from tests.system.faults.conftest import ANALYSIS_ENDS, IMAGES, TICK, Conclude
from tests.system.faults.results import Layer


def test_a_healthy_run_is_not_touched(pipeline: BreakablePipeline, conclude: Conclude, picture: bytes) -> None:
    keys = pipeline.upload(4 * IMAGES, picture)
    run_id = pipeline.trigger()
    looked, looks = 0.0, 0
    pipeline.until_status("STARTING")
    while pipeline.states(run_id)["stop_model"] == [None]:
        looked, looks = pipeline.look_now(), looks + 1
    assert looks >= 3
    assert pipeline.until_over(run_id) == "success"
    ended = pipeline.ended_at(run_id, "analyse_images")
    row = conclude(
        "no fault: the watchdog runs repeatedly during a healthy run",
        Layer.TEARDOWN,
        keys,
        at=looked,
        clock=(ANALYSIS_ENDS, ended),
    )
    assert f"{len(keys)} labelled" in row.images


def test_a_model_that_was_not_leased_from_here_is_not_touched(pipeline: BreakablePipeline) -> None:
    pipeline.put_model("RUNNING")
    pipeline.look_now()
    assert pipeline.status() == "RUNNING"


@pytest.mark.gate
def test_notices_report_a_failed_stop_a_failed_run_and_an_action_of_the_watchdog(
    pipeline: BreakablePipeline, conclude: Conclude, picture: bytes, alarms: str
) -> None:
    keys = pipeline.upload(IMAGES, picture)
    pipeline.no_switch()
    pipeline.fail_model("stop", status=400, code="AccessDeniedException", message="not you")
    run_id = pipeline.trigger()
    pipeline.until_task(run_id, "stop_model", "running")
    at = time.time()
    assert pipeline.until_over(run_id) == "failed"
    assert pipeline.status() == "RUNNING"
    pipeline.heal()
    ticked = pipeline.look_now()
    told = received(pipeline, alarms, 3)
    subjects = [subject for subject, _ in told]
    assert len(told) == 3, subjects
    for subject, words in zip(subjects, ("stop failed", "MAY BE ON: run failed", "Watchdog stopped"), strict=True):
        assert words in subject
    arn = pipeline.world.setting("model_arn")
    for _, text in told:
        assert arn in text
        assert run_id in text
        assert "What to do:" in text
    assert "not you" in told[0][1]
    fault = "stop_model fails in all 6 tries (access denied)"
    conclude(fault, Layer.WATCHDOG, keys, at=at, clock=(TICK, ticked))


def received(pipeline: BreakablePipeline, queue_url: str, count: int) -> list[tuple[str, str]]:
    """Subjects and texts, in the order of their publication."""
    found: dict[str, dict[str, str]] = {}  # by message id, because SQS may deliver a message twice

    def enough() -> bool:
        for message in pipeline.sqs.receive_message(QueueUrl=queue_url, MaxNumberOfMessages=10, WaitTimeSeconds=1).get(
            "Messages", []
        ):
            found[message["MessageId"]] = json.loads(message["Body"])
            pipeline.sqs.delete_message(QueueUrl=queue_url, ReceiptHandle=message["ReceiptHandle"])
        return len(found) >= count

    pipeline.wait_until(enough, 30)
    return [(told["Subject"], told["Message"]) for told in sorted(found.values(), key=lambda told: told["Timestamp"])]
