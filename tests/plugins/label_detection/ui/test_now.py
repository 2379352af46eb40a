"""The present state from AWS and Airflow: the model, its lease, the queue, the watchdog."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient

from label_detection_core.config.settings import environment_name
from label_detection_core.model.lease import lease_name
from tests.conftest import Aws
from tests.model_calls import KINDS
from tests.plugins.label_detection.ui.known import DAG_ID, NOW, Known, lease

WATCHDOG = "label_detection_watchdog"


def now(browser: TestClient) -> dict[str, Any]:
    answer = browser.get(f"/pipelines/{DAG_ID}/now")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_the_lease_holder_is_shown(browser: TestClient, aws: Aws, known: Known) -> None:
    assert now(browser)["lease"] is None
    known.hold(lease(aws))
    held = now(browser)["lease"]
    assert (held["dag_id"], held["run_id"], held["since"]) == (DAG_ID, "r", "2026-11-22T06:00:00Z")


def test_a_lease_that_was_edited_is_a_warning(browser: TestClient, aws: Aws, known: Known) -> None:
    known.variables[lease_name(aws.settings.model_arn)] = "{}"
    found = now(browser)
    assert "it is not a lease" in found["warning"]
    assert (found["lease"], found["lease_problem"]) == (None, found["warning"])


#: The service's state names for a model that is off, and for one that is on.
WORDS = {"rekognition": ("STOPPED", "RUNNING"), "sagemaker": ("NoEndpoint", "InService")}
WORDS["lookoutvision"] = ("TRAINED", "HOSTED")


@pytest.mark.kinds(*KINDS)
def test_the_models_state_is_that_of_its_service(browser: TestClient, aws: Aws, known: Known, model_kind: str) -> None:
    off, on = WORDS[model_kind]
    aws.put_model("STOPPED")
    found = now(browser)["state"]
    assert (found["phase"], found["status"], found["units"]) == ("off", off, None)
    aws.put_model("RUNNING")
    found = now(browser)["state"]
    assert (found["phase"], found["status"], found["units"]) == ("running", on, 1)


def without_credentials(aws: Aws, patch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        patch.delenv(name)
    patch.setenv("AWS_EC2_METADATA_DISABLED", "true")


def nobody_answers(aws: Aws, patch: pytest.MonkeyPatch) -> None:
    patch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")


def another_model(aws: Aws, patch: pytest.MonkeyPatch) -> None:
    gone = aws.settings.model_arn.replace("/version/1/", "/version/gone/")
    patch.setenv("AIRFLOW__LABEL_DETECTION__MODEL_ARN", gone)


def a_service_that_ended(aws: Aws, patch: pytest.MonkeyPatch) -> None:
    arn = "arn:aws:lookoutvision:us-east-1:123456789012:model/parts/1"
    patch.setenv("AIRFLOW__LABEL_DETECTION__MODEL_ARN", arn)
    patch.setenv("AWS_ENDPOINT_URL_LOOKOUTVISION", "https://lookoutvision.us-east-1.amazonaws.com")


@pytest.mark.parametrize(
    ("trouble", "words"),
    [
        pytest.param(without_credentials, "the API server has no AWS credentials", id="no credentials"),
        pytest.param(nobody_answers, "EndpointConnectionError", id="AWS is down"),
        pytest.param(another_model, "has no model", id="no such model"),
        pytest.param(a_service_that_ended, "AWS ended Amazon Lookout for Vision", id="the service has ended"),
    ],
)
def test_an_unknown_model_state_is_explained_and_all_else_is_shown(
    browser: TestClient, aws: Aws, known: Known, trouble: Any, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    trouble(aws, monkeypatch)
    known.hold(lease(aws, model_arn=os.environ[environment_name("model_arn")]))
    found = now(browser)
    assert found["state"] is None
    assert words in found["state_problem"]
    assert found["lease"]["run_id"] == "r"


@dataclass(frozen=True)
class Moment:
    """The model's state (Rekognition's name), the expected warnings, and the lease that a run took two hours ago.

    `tasks`: of that run; ended ones ended five minutes ago; `just_now`: both happened now.
    """

    status: str
    warned: str = ""
    lease: dict[str, Any] | None = None
    run: str | None = "running"
    tasks: dict[str, str] = field(default_factory=dict)
    just_now: bool = False
    is_paused: bool = False


HELD: dict[str, Any] = {}
OVER = {"until": NOW}
KEPT = {"kept_for_late_start": True}
MOMENTS = {
    "off, without a lease": Moment("STOPPED"),
    "taken a moment ago": Moment("STOPPED", lease=HELD, just_now=True),
    "about to start": Moment("STOPPED", lease=HELD, tasks={"plan_run": "success", "start_model": "queued"}),
    "starting": Moment("STARTING", lease=HELD, tasks={"wait_for_model": "deferred"}),
    "at work": Moment("RUNNING", lease=HELD, tasks={"analyse_images": "running"}),
    "between two tasks": Moment("RUNNING", lease=HELD, tasks={"analyse_images": "success"}, just_now=True),
    "stopping": Moment("STOPPING", lease=HELD, tasks={"stop_model": "running"}),
    "off, its lease about to end": Moment("STOPPED", lease=HELD, tasks={"stop_model": "running"}),
    "marked as failed, its teardown at work": Moment("RUNNING", "", HELD, "failed", {"stop_model": "queued"}),
    "stopping manually": Moment("STOPPING"),
    "on manually": Moment("RUNNING", "no run holds it"),
    "starting manually": Moment("STARTING", "no run holds it"),
    "on after its time": Moment(
        "RUNNING", "expired at 2026-11-22 06:00 UTC. The model is on", OVER, tasks={"a": "running"}
    ),
    "held after its time": Moment("STOPPED", "expired at 2026-11-22 06:00 UTC. The model is off", OVER),
    "on, its run deleted": Moment("RUNNING", "the run was deleted. The model is on", HELD, None),
    "on, its run over": Moment("RUNNING", "it is failed, stop_model failed", HELD, "failed", {"stop_model": "failed"}),
    "cleared, and waits": Moment("RUNNING", "", HELD, "queued"),
    "marked as failed, its teardown to begin": Moment("RUNNING", "", HELD, "failed", {"stop_model": ""}),
    "on, another DAG's run over": Moment("RUNNING", "it is success", HELD, "success", {"a": "success"}),
    "on, a group's stop failed": Moment("RUNNING", "it is failed", HELD, "failed", {"g.stop_model": "failed"}),
    "on, its DAG paused": Moment("RUNNING", "is its DAG paused", HELD, tasks={"analyse_images": "success"}),
    "on, paused before a task": Moment("RUNNING", "its DAG is paused", HELD, tasks={"b": "scheduled"}, is_paused=True),
    "on, paused while a task runs": Moment("RUNNING", "", HELD, tasks={"b": "running"}, is_paused=True),
    "on, its stop gets no worker": Moment(
        "RUNNING", "stop_model has been queued", HELD, tasks={"stop_model": "queued"}
    ),
    "on, before a retry": Moment("RUNNING", "", HELD, tasks={"analyse_images": "up_for_retry"}),
    "off, kept for a late start": Moment("STOPPED", "", KEPT, "failed", {"stop_model": "success"}),
    "on, its start came late": Moment("RUNNING", "arrived after its stop", KEPT, "failed", {"stop_model": "success"}),
    "off, no task active": Moment("STOPPED", "The model is off", HELD, tasks={"plan_run": "success"}),
    "cannot be started": Moment(
        "TRAINING_FAILED", "No run can start this model: its state is TRAINING_FAILED (its training"
    ),
}


@pytest.mark.parametrize("moment", MOMENTS.values(), ids=MOMENTS)
def test_states_that_need_a_person_are_warnings_and_those_of_a_run_are_not(
    browser: TestClient, aws: Aws, known: Known, moment: Moment
) -> None:
    aws.put_model(moment.status)
    known.paused = {DAG_ID} if moment.is_paused else set()
    at = datetime.now(UTC)
    since, ended = (at, at) if moment.just_now else (at - timedelta(hours=2), at - timedelta(minutes=5))
    if moment.lease is not None:
        run_id = known.add_run(1, state=moment.run) if moment.run else "gone"
        for task, state in moment.tasks.items():
            known.add_task(run_id, task, state, ended)
        known.hold(lease(aws, run_id=run_id, since=since, **moment.lease))
    warned = now(browser)["warning"]
    assert bool(warned) is bool(moment.warned), warned
    assert moment.warned in (warned or "")
    is_on = moment.status in {"STARTING", "RUNNING"}
    assert ("stop-project-version" in (warned or "")) is (is_on and bool(warned))


def test_the_queues_depth_with_the_oldest_messages_age(browser: TestClient, aws: Aws, known: Known) -> None:
    assert now(browser)["queue"] == {"waiting": 0, "in_flight": 0, "oldest_seconds": None}
    aws.upload("a.png", b"picture")
    time.sleep(1.1)
    found = now(browser)
    assert (found["queue"]["waiting"], found["queue"]["in_flight"]) == (1, 0)
    assert 1 <= found["queue"]["oldest_seconds"] < 60
    aws.exactly_once()
    aws.sqs.receive_message(QueueUrl=aws.settings.queue_url, MaxNumberOfMessages=1, WaitTimeSeconds=1)
    aws.settle()
    assert now(browser)["queue"] == {"waiting": 0, "in_flight": 1, "oldest_seconds": None}


def test_an_age_that_is_not_known_is_none(browser: TestClient, aws: Aws, known: Known) -> None:
    aws.upload("a.png", b"picture")
    aws.fail("monitoring", "GetMetricStatistics", code="InternalFailure")
    found = now(browser)
    assert found["queue"] == {"waiting": 1, "in_flight": 0, "oldest_seconds": None}
    assert "The age of the oldest message cannot be read: InternalFailure" in found["age_problem"]


def test_an_unreadable_queue_is_shown_as_such(browser: TestClient, aws: Aws, known: Known) -> None:
    aws.fail("sqs", "GetQueueAttributes", code="AccessDenied", status=403)
    found = now(browser)
    assert (found["queue"], found["age_problem"]) == (None, None)
    assert "sqs:GetQueueAttributes" in found["queue_problem"]


NOT_YET: dict[str, Any] = {"state": None, "ended_at": None, "looks": 0, "acted": [], "problem": None}


def test_only_the_watchdogs_actions_on_this_pipelines_model_are_shown(
    browser: TestClient, aws: Aws, known: Known
) -> None:
    assert now(browser)["watchdog"] == NOT_YET
    own = {**lease(aws).model_dump(mode="json"), "why": "its run was deleted", "stopped": True}
    acted: list[list[dict[str, Any]]] = [[own], [], [{**own, "dag_id": "label_detection__other", "run_id": "secret"}]]
    for number, value in enumerate(acted, 1):
        run_id = known.add_run(number, WATCHDOG, "failed" if number == 3 else "success")
        known.add_value(run_id, "stop_expired_models", value)
    known.add_run(4, WATCHDOG)  # the watchdog has failed before it could return a value
    known.add_run(5, WATCHDOG, "running")
    found = now(browser)["watchdog"]
    assert (found["state"], found["ended_at"]) == ("success", "2026-11-22T10:04:00+00:00")
    assert found["looks"] == 4
    assert found["acted"] == [{"run_id": "r", "why": "its run was deleted", "stopped": True}]


def test_return_values_of_the_watchdog_are_read_once_except_that_of_its_last_run(
    browser: TestClient, aws: Aws, known: Known
) -> None:
    for number in range(3):
        known.add_run(number, WATCHDOG)
    now(browser)
    before = len(known.asked)
    now(browser)
    assert [path.split("/")[3] for path in known.asked[before:] if "xcomEntries" in path] == ["run 2"]
    known.add_run(3, WATCHDOG)
    now(browser)
    assert [path.split("/")[3] for path in known.asked[before:] if "xcomEntries" in path] == ["run 2", "run 3"]


def test_what_one_user_may_read_of_the_watchdog_is_not_shown_to_another(
    browser: TestClient, aws: Aws, known: Known
) -> None:
    run_id = known.add_run(1, WATCHDOG)
    known.add_value(run_id, "stop_expired_models", [lease(aws).model_dump(mode="json")])
    assert len(now(browser)["watchdog"]["acted"]) == 1
    known.denied_values = True
    assert now(browser)["watchdog"] == NOT_YET | {"problem": "You may not read the runs of the watchdog."}


def test_users_who_may_not_read_the_watchdogs_runs_see_that_and_all_else(
    browser: TestClient, aws: Aws, known: Known
) -> None:
    known.add_run(1, WATCHDOG)
    known.hold(lease(aws))
    known.denied = {WATCHDOG}
    found = now(browser)
    assert found["watchdog"] == NOT_YET | {"problem": "You may not read the runs of the watchdog."}
    assert found["lease"]["run_id"] == "r"


@pytest.mark.parametrize(("denied", "is_warned"), [(set(), True), ({"another_dag"}, False)], ids=["may", "may not"])
def test_of_a_run_that_the_user_may_not_read_only_its_lease_is_shown(
    browser: TestClient, aws: Aws, known: Known, denied: set[str], is_warned: bool
) -> None:
    aws.put_model("RUNNING")
    known.hold(lease(aws, dag_id="another_dag"))
    known.denied = denied
    found = now(browser)
    assert found["lease"]["dag_id"] == "another_dag"
    assert bool(found["warning"]) is is_warned
