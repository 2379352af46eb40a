"""Describe lags behind a start and a stop: no task trusts a state that can be older than its own request."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from label_detection import leases
from label_detection.hooks.model import ModelHook, ModelState, hook_class
from label_detection.operators.images import AnalyseImagesOperator
from label_detection.waits import Waits
from label_detection_core.model.lease import Lease
from tests.model_calls import KINDS
from tests.plugins.conftest import QUICK, Run, SetWaits, Variables, later
from tests.plugins.label_detection.operators.conftest import Airflow, Watch, lease_on, start, stop

if TYPE_CHECKING:
    from tests.conftest import Aws

pytestmark = [pytest.mark.usefixtures("quick"), pytest.mark.kinds(*KINDS)]
#: Longer than any change that a test makes meanwhile.
LONG = 60.0
FROM_BEFORE = ["TRAINING_COMPLETED", "FAILED", "STOPPED"]
Turn = Callable[[str, float], None]


def test_the_tolerated_lag_is_a_minute() -> None:
    assert Waits().lag == 60


@pytest.fixture
def long_lag(quick: None, set_waits: SetWaits) -> None:
    set_waits(lag=LONG)


@pytest.fixture
def turn(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> Turn:
    """Makes the first two calls of describe, and all calls until some seconds later, return the old state."""
    hooks = hook_class(aws.settings.model)
    describe = hooks.describe
    looks: list[float] = []

    def arrange(status: str, seconds: float) -> None:
        def look(self: ModelHook) -> Any:
            if len(looks) >= 2 and time.monotonic() - looks[0] >= seconds:
                monkeypatch.setattr(hooks, "describe", describe)
                aws.put_model(status)
            looks.append(time.monotonic())
            return describe(self)

        monkeypatch.setattr(hooks, "describe", look)

    return arrange


# start_model


@pytest.mark.usefixtures("long_lag")
@pytest.mark.parametrize("status", ["STARTING", "RUNNING"])
def test_a_start_that_is_refused_as_in_use_while_the_model_seems_off_is_adopted_once_it_is_seen(
    aws: Aws, run: Run, turn: Turn, status: str
) -> None:
    run.plan(aws.settings)
    aws.fail_model("start", status=400, code=aws.calls.in_use, message="already existing, somehow")
    turn(status, 0)
    assert start(run).accepted_at is not None


@pytest.mark.usefixtures("long_lag")
def test_a_start_that_is_refused_because_the_model_is_stopping_is_left_to_a_retry(
    aws: Aws, run: Run, turn: Turn
) -> None:
    run.plan(aws.settings)
    aws.fail_model("start", status=400, code=aws.calls.in_use, message="already existing, somehow")
    turn("STOPPING", 0)
    with pytest.raises(AirflowException) as failure:
        start(run)
    assert not isinstance(failure.value, AirflowFailException)


def test_a_model_that_seems_to_be_stopping_again_after_its_stop_is_waited_for_and_not_adopted(
    aws: Aws, run: Run, hook: ModelHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    aws.set_oddities(describe_lag=0)  # the test sets a lag of its own
    aws.put_model("RUNNING")
    hook.stop()
    hooks = hook_class(aws.settings.model)
    describe, old = hooks.describe, [hook.describe()] * 2

    monkeypatch.setattr(hooks, "describe", lambda self: old.pop() if old else describe(self))
    run.plan(aws.settings)
    assert not start(run).adopted
    assert aws.is_started


def test_the_lag_counts_from_when_the_start_was_accepted_and_not_from_its_first_try(
    aws: Aws, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    run.plan(aws.settings)
    hooks = hook_class(aws.settings.model)
    start_request = hooks.start

    def throttled_first(self: ModelHook, *units: Any) -> None:
        time.sleep(0.5)
        start_request(self, *units)

    monkeypatch.setattr(hooks, "start", throttled_first)
    started = start(run)
    assert started.asked_at - started.requested_at >= timedelta(seconds=0.5)


# stop_model


def asked(aws: Aws, run: Run, variables: Variables, how: str) -> None:
    """A run that has requested the start. `how`: whether start_model ended, or died before it returned."""
    plan = run.plan(aws.settings)
    if how == "start_model ended":
        run.started(datetime.now(UTC), datetime.now(UTC) + timedelta(hours=1))
    else:
        context: Any = run.context("start_model")
        leases.take_lease(context, plan, start_asked=True)


@pytest.mark.usefixtures("long_lag")
@pytest.mark.parametrize("how", ["start_model ended", "start_model died"])
@pytest.mark.parametrize(
    "status",
    [
        "TRAINING_COMPLETED",
        "STOPPED",
        pytest.param("FAILED", marks=pytest.mark.only("rekognition", "lookoutvision")),  # SageMaker deletes it
    ],
)
def test_a_model_that_seems_off_after_its_start_is_stopped_once_it_is_seen_running(
    aws: Aws, run: Run, variables: Variables, turn: Turn, how: str, status: str
) -> None:
    aws.put_model(status)
    asked(aws, run, variables, how)
    seen = len(aws.model()["history"])
    turn("RUNNING", QUICK.linger + 1)
    stop(run)
    assert [change["status"] for change in aws.model()["history"][seen:]] == ["RUNNING", "STOPPING", "STOPPED"]
    assert variables.lease(aws.settings) is None


@pytest.mark.parametrize("how", ["start_model ended", "start_model died"])
def test_a_model_that_stays_off_counts_as_off_when_the_lag_is_over(
    aws: Aws, run: Run, variables: Variables, how: str, set_waits: SetWaits
) -> None:
    set_waits(lag=2.0)
    asked(aws, run, variables, how)
    began = time.monotonic()
    stop(run)
    assert 1.5 <= time.monotonic() - began < LONG
    lease = variables.lease(aws.settings)
    is_kept = how == "start_model died"
    assert (lease is not None and lease.kept_for_late_start) is is_kept, "its request may arrive even later"


@pytest.mark.usefixtures("long_lag")
def test_a_run_that_never_requested_the_model_looks_for_a_short_time_only(aws: Aws, planned: Run) -> None:
    began = time.monotonic()
    stop(planned)
    assert QUICK.linger <= time.monotonic() - began < LONG / 2


@pytest.fixture
def lagging_stop(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Describe lags a second behind the stop, and only the first stop request succeeds. Returns the requests."""
    hooks = hook_class(aws.settings.model)
    describe, stop_request = hooks.describe, hooks.stop
    requests: list[str] = []
    before: list[ModelState] = []
    accepted_at: list[float] = []

    def old_state(self: ModelHook) -> ModelState:
        state: ModelState = describe(self)
        if accepted_at and time.monotonic() - accepted_at[0] < 1:
            return before[0]
        before[:] = [state]
        return state

    def stop_once(self: ModelHook) -> None:
        requests.append("stop")
        if accepted_at:
            raise RuntimeError("asked again")
        stop_request(self)
        accepted_at.append(time.monotonic())

    monkeypatch.setattr(hooks, "describe", old_state)
    monkeypatch.setattr(hooks, "stop", stop_once)
    return requests


@pytest.mark.usefixtures("long_lag")
def test_a_model_that_still_seems_to_run_after_its_stop_was_accepted_is_not_asked_again(
    aws: Aws, planned: Run, lagging_stop: list[str]
) -> None:
    aws.put_model("RUNNING")
    stop(planned)
    assert lagging_stop == ["stop"]
    assert aws.model()["status"] == "STOPPED"


def test_a_model_that_still_runs_when_the_lag_is_over_is_asked_again(
    aws: Aws, planned: Run, hook: ModelHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    aws.put_model("RUNNING")
    hooks = hook_class(aws.settings.model)
    stop_request, lost = hooks.stop, ["the first"]

    monkeypatch.setattr(hooks, "stop", lambda self: lost.pop() if lost else stop_request(self))
    stop(planned)
    assert aws.model()["status"] == "STOPPED"


# the watchdog


def test_the_watchdog_does_not_believe_that_a_model_is_off_right_after_its_start(
    aws: Aws, variables: Variables, airflow: Airflow, watch: Watch, turn: Turn, long_lag: None
) -> None:
    lease: Lease = lease_on(aws, run_id="deleted").model_copy(update={"since": datetime.now(UTC)})
    variables.put_lease(lease)
    turn("RUNNING", 1)
    (acted,) = watch()
    assert acted["stopped"]
    assert aws.model()["status"] == "STOPPED"


# analyse_images


def seen_running(aws: Aws, run: Run) -> None:
    """wait_for_model has just seen the model running."""
    now = datetime.now(UTC)
    run.plan(aws.settings)
    run.started(now - timedelta(minutes=10), now + timedelta(minutes=10))
    run.xcoms["wait_for_model", "return_value"] = now.isoformat()


def analyse(run: Run) -> dict[str, int]:
    tally: dict[str, int] = run.execute(AnalyseImagesOperator(task_id="analyse_images", images_per_second=100))
    return tally


@pytest.mark.usefixtures("long_lag")
@pytest.mark.parametrize("status", [*FROM_BEFORE, "STARTING"])
def test_an_old_state_right_after_running_was_seen_is_looked_at_again(
    aws: Aws, run: Run, picture: bytes, turn: Turn, status: str
) -> None:
    seen_running(aws, run)
    aws.upload("1.png", picture)
    aws.put_model(status)
    turn("RUNNING", 0)
    assert analyse(run)["labelled"] == 1


@pytest.mark.parametrize("status", [*FROM_BEFORE, "STARTING"])
def test_a_model_that_does_not_run_when_the_lag_is_over_fails_the_analysis(aws: Aws, run: Run, status: str) -> None:
    seen_running(aws, run)
    aws.put_model(status)
    with pytest.raises(AirflowFailException, match="not running: clear start_model"):
        analyse(run)


@pytest.mark.only("rekognition")
@pytest.mark.usefixtures("long_lag")
def test_a_model_that_cannot_run_any_more_fails_the_analysis_at_once(aws: Aws, run: Run) -> None:
    seen_running(aws, run)
    aws.put_model("DELETING")
    began = time.monotonic()
    with pytest.raises(AirflowFailException, match="DELETING"):
        analyse(run)
    assert time.monotonic() - began < LONG / 2


@pytest.mark.usefixtures("long_lag")
def test_a_task_that_is_killed_while_it_looks_again_ends(aws: Aws, run: Run) -> None:
    seen_running(aws, run)
    task = AnalyseImagesOperator(task_id="analyse_images", images_per_second=100)
    began = time.monotonic()
    with later(0.5, task.on_kill), pytest.raises(AirflowException):
        run.execute(task)
    assert time.monotonic() - began < LONG / 2
