"""A queue with the oddities of SQS: every image is labelled once, and the model is not kept on for nothing."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowSkipException

from label_detection.sensors.sqs import QueueDepthSensor
from tests.core.queues import delay, send
from tests.core.test_messages import direct, record
from tests.system.faults.oddities.catalogue import Oddity
from tests.system.faults.oddities.results import add
from tests.system.faults.oddities.tasks import Tasks, labelled, upload

COUNT = 15
RECORDS = 300
#: Seconds for what is faster on a quiet machine; other processes may share this one.
SLACK_SECONDS = 20.0


@pytest.mark.parametrize(
    ("oddity", "knobs"),
    [
        pytest.param(Oddity.COUNTS_OLD, {"count_age": [1, 5]}, id="counts 1 to 5 s old"),
        pytest.param(Oddity.COUNTS_VERY_OLD, {"count_age": [60, 60]}, id="counts 60 s old", marks=pytest.mark.gate),
        pytest.param(Oddity.SHORT_POLLS, {"short_poll_share": 0}, id="short polls see nothing"),
    ],
)
def test_all_are_labelled_and_the_task_ends_soon_after_the_last_answer(
    tasks: Tasks, picture: bytes, oddity: Oddity, knobs: dict[str, Any]
) -> None:
    tasks.aws.control("oddities", "PUT", knobs)
    keys = upload(tasks.aws, COUNT, picture)
    found = tasks.plan_and_analyse()
    done = labelled(tasks.aws, keys)
    add(oddity, f"{done} of {COUNT} labelled; {found.idle:.1f} s from the last answer to the task's end")
    assert (done, found.error) == (COUNT, "")
    assert found.idle < SLACK_SECONDS
    assert tasks.aws.depth() == (0, 0)


def test_a_message_that_is_delivered_twice_labels_its_image_once(tasks: Tasks, picture: bytes) -> None:
    tasks.aws.control("oddities", "PUT", {"duplicate_share": 1})
    keys = upload(tasks.aws, COUNT, picture)
    before = tasks.aws.model()["detects"]
    found = tasks.plan_and_analyse()
    done, asked = labelled(tasks.aws, keys), tasks.aws.model()["detects"] - before
    add(
        Oddity.DUPLICATES, f"{2 * COUNT} deliveries: {done} of {COUNT} labelled, one document each; {asked} model calls"
    )
    assert (done, found.error, len(tasks.aws.final_keys())) == (COUNT, "", 2 * COUNT)
    assert tasks.aws.depth() == (0, 0)


@pytest.mark.gate
def test_delayed_messages_start_nothing(tasks: Tasks, picture: bytes) -> None:
    delay(tasks.aws, 600)
    upload(tasks.aws, 3, picture)
    tasks.run.params = {"wait_minutes": 0}
    with pytest.raises(AirflowSkipException, match="3 delayed"):
        tasks.run.execute(QueueDepthSensor(task_id="wait_for_images"))
    on = tasks.aws.model()["status"] != "TRAINING_COMPLETED"
    add(Oddity.DELAYED, "3 delayed messages: the run is skipped, the model is not started")
    assert not on


@pytest.mark.gate
def test_a_message_with_many_deleted_objects_is_done_in_seconds(tasks: Tasks) -> None:
    records = [record(f"gone {number}.png", bucket=tasks.aws.settings.source_bucket) for number in range(RECORDS)]
    send(tasks.aws, direct(*records))
    tasks.aws.settle()
    found = tasks.plan_and_analyse()
    add(Oddity.GONE, f"{found.count('ignored')} ignored; the whole task took {found.took:.1f} s")
    assert (found.count("ignored"), found.error, tasks.aws.depth()) == (RECORDS, "", (0, 0))
    assert found.took < SLACK_SECONDS
