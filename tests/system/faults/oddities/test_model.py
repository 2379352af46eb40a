"""A model with the oddities of Rekognition: late, throttled, over a quota, or failing for one image."""

from __future__ import annotations

import json
from collections import Counter
from datetime import datetime

import pytest
from airflow.sdk.exceptions import AirflowFailException

from sandbox.waiting import wait_until
from tests.conftest import OPTION
from tests.system.faults.oddities.catalogue import Oddity
from tests.system.faults.oddities.results import add
from tests.system.faults.oddities.tasks import Tasks, labelled, rejected, upload

GOOD = 10
MANY = 60
#: How often the test's fault fails a call; the rest of its count shows how many calls were sent.
SENDS = 1000
#: Seconds that one image may keep the model on: a minute, and more on a busy machine.
MOST_SECONDS = 75.0


def sent(tasks: Tasks) -> int:
    """The number of calls that the test's only fault has failed."""
    (fault,) = tasks.aws.control("faults")
    return SENDS - int(fault["times"])


@pytest.mark.parametrize(
    ("oddity", "service", "operation"),
    [
        pytest.param(Oddity.ONE_FAILS, "rekognition", "DetectCustomLabels", id="the model"),
        pytest.param(Oddity.OBJECT_FAILS, "s3", "HeadObject", id="S3"),
    ],
)
def test_one_image_that_fails_every_time_keeps_the_model_on_for_a_minute_at_most(
    tasks: Tasks, picture: bytes, oddity: Oddity, service: str, operation: str
) -> None:
    tasks.aws.fail(service, operation, code="InternalServerError", status=500, key="odd", times=SENDS)
    upload(tasks.aws, 1, picture, "odd")
    keys = upload(tasks.aws, GOOD, picture)
    found = tasks.plan_and_analyse()
    done, asked = labelled(tasks.aws, keys), sent(tasks)
    add(
        oddity,
        f"{done} of {GOOD} others labelled; the model stays on for {found.on_for_the_rest:.0f} s more, "
        f"{asked} calls in {found.count('failed')} deliveries; then the image waits for the next run",
    )
    assert (done, found.error, rejected(tasks.aws), sum(tasks.aws.depth())) == (GOOD, "", 0, 1)
    assert found.on_for_the_rest < MOST_SECONDS


@pytest.mark.gate
def test_throttling_slows_the_pace_whatever_its_status(tasks: Tasks, picture: bytes) -> None:
    tasks.aws.fail_model("detect", code="ThrottlingException", times=3)
    assert tasks.aws.control("faults")[0]["status"] is None, "the service model's status of throttling is 500"
    keys = upload(tasks.aws, GOOD, picture)
    found = tasks.plan_and_analyse()
    done, seen = labelled(tasks.aws, keys), sum(line["throttled"] for line in found.lines)
    add(Oddity.THROTTLED_WITH_500, f"{seen} of 3 throttled calls recognised; {done} of {GOOD} labelled")
    assert (done, seen, found.error) == (GOOD, 3, "")


def test_an_outage_uses_up_no_deliveries(tasks: Tasks, picture: bytes) -> None:
    tasks.aws.fail_model("detect", code="InternalServerError")
    keys = upload(tasks.aws, MANY, picture)
    found = tasks.plan_and_analyse()
    failed = Counter(line["source"]["key"] for line in found.lines if line["outcome"] == "failed")
    tasks.aws.control("faults", "DELETE")
    wait_until(lambda: tasks.aws.depth()[1] == 0, 120, "the messages that were returned", every=0.2)
    tasks.plan_and_analyse()
    done = labelled(tasks.aws, keys)
    add(
        Oddity.OUTAGE,
        f"{MANY} images: the task failed after {found.took:.0f} s, at most {max(failed.values())} of 5 deliveries used "
        f"up; after the outage the next run labelled {done} of {MANY}",
    )
    assert "pictures in a row failed" in found.error
    assert (done, rejected(tasks.aws)) == (MANY, 0)
    assert max(failed.values()) <= 2


def test_a_running_model_that_is_not_ready_is_waited_for(tasks: Tasks, picture: bytes) -> None:
    tasks.aws.control("oddities", "PUT", {"ready_lag": 10})
    keys = upload(tasks.aws, GOOD, picture)
    tasks.plan()
    tasks.start()
    wait_until(lambda: tasks.aws.model()["status"] == "RUNNING", 30, "the model", every=0.1)
    found = tasks.analyse()
    done = labelled(tasks.aws, keys)
    add(
        Oddity.READY_LAG, f"{done} of {GOOD} labelled, {found.count('failed')} failed; the task took {found.took:.1f} s"
    )
    assert (done, found.error, found.count("failed")) == (GOOD, "", 0)


def test_a_stop_right_after_a_start_that_describe_does_not_show_yet_stops_the_model(tasks: Tasks) -> None:
    tasks.aws.control("oddities", "PUT", {"describe_lag": 5})
    tasks.plan()
    before = len(tasks.aws.model()["history"])
    tasks.start()
    tasks.stop()
    history = {
        change["status"]: datetime.fromisoformat(change["at"]) for change in tasks.aws.model()["history"][before:]
    }
    seconds = (history["STOPPED"] - history["STARTING"]).total_seconds()
    add(Oddity.DESCRIBE_LAG, f"off {seconds:.1f} s after the start request; starting takes 1 s of this time")
    assert tasks.aws.model()["status"] == "STOPPED"


@pytest.mark.gate
def test_a_start_over_the_quota_is_sent_once_and_names_the_quota(tasks: Tasks) -> None:
    tasks.aws.fail_model("start", code="LimitExceededException", message="2 of 2 units are in use.", times=SENDS)
    tasks.plan()
    with pytest.raises(AirflowFailException, match=r"quota.*2 of 2 units are in use"):
        tasks.start()
    times = sent(tasks)
    add(Oddity.QUOTA, f"sent {times} time; the task fails at once and names the quota")
    assert times == 1


def test_the_models_own_thresholds_are_left_in_force(
    tasks: Tasks, picture: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"{OPTION}MIN_CONFIDENCE", "model")
    tasks.aws.fail_model("detect", code="InvalidParameterException", key="MinConfidence")  # it is in the request's body
    keys = upload(tasks.aws, 3, picture)
    tasks.plan_and_analyse()
    documents = [json.loads(tasks.aws.read(key)) for key in tasks.aws.final_keys() if key.endswith(".png.json")]
    said = {document["model"]["min_confidence"] for document in documents}
    done = labelled(tasks.aws, keys)
    add(Oddity.OWN_THRESHOLDS, f"{done} of 3 requests without `MinConfidence`; the documents have `null`")
    assert (done, said) == (3, {None})
