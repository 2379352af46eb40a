"""With the policy of the docs everything works; without any one grant there is a message, and nothing is lost."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from label_detection.operators.backfill import EnqueueImagesOperator, PlanBackfillOperator
from label_detection.operators.images import DrainsQueue
from label_detection.operators.watchdog import StopExpiredModelsOperator
from label_detection_core.drain.waits import Waits
from label_detection_core.model.lease import Lease
from sandbox.waiting import wait_until
from tests.core.queues import clear
from tests.model_calls import KINDS
from tests.permissions.conftest import PolicedAws
from tests.permissions.pipeline import run_pipeline
from tests.permissions.policy import Grant, grants
from tests.plugins.conftest import Run, Variables

if TYPE_CHECKING:
    from tests.conftest import Aws

ON = {"STARTING", "RUNNING", "STOPPING"}


def report(aws: Aws, run_id: str = "manual__1") -> Any:
    return json.loads(aws.read(f"runs/{run_id}/report.json"))


def watch() -> list[dict[str, Any]]:
    """Execute the watchdog. Airflow reports every run as over and without a stop of its model."""
    states: Any = SimpleNamespace(
        dag_id="label_detection_watchdog",
        get_dagrun_state=lambda **_: "failed",
        get_task_states=lambda run_ids, **_: {run_ids[0]: {"stop_model": "failed"}},
    )
    context: Any = {"ti": states}
    return StopExpiredModelsOperator(task_id="stop_expired_models").execute(context)


def leave_on(world: PolicedAws, variables: Variables) -> None:
    """A model that a run left on."""
    now = datetime.now(UTC)
    world.aws.put_model("RUNNING")
    variables.put_lease(
        Lease(
            model_arn=world.aws.settings.model_arn,
            dag_id="label_detection",
            run_id="left",
            since=now - timedelta(hours=2),
            until=now - timedelta(hours=1),
            units=1,
            sns_topic_arn=world.topic.arn,
            dead_man_switch=True,
        )
    )


def backfill(run: Run) -> int:
    """Announce the objects of the source bucket."""
    run.dag_id, run.params = "label_detection_backfill", {"dry_run": False, "older_than_minutes": 0}
    chunks = run.execute(PlanBackfillOperator(task_id="plan_backfill"))
    return sum(run.execute(EnqueueImagesOperator(task_id="enqueue_images", chunk=chunk)) for chunk in chunks)


@pytest.mark.kinds(*KINDS)
def test_with_the_policy_a_run_works_wholly(world: PolicedAws, variables: Variables) -> None:
    world.permit()
    ran = run_pipeline(world.aws, look_early=True)
    world.permit_all()
    assert ran.errors == {}
    assert world.outcomes() == world.expected
    assert (world.aws.depth(), world.aws.source_keys()) == ((0, 0), [])
    assert world.aws.model()["status"] == "STOPPED"
    assert world.aws.schedules() == []
    assert variables.lease(world.aws.settings) is None
    found = report(world.aws)
    assert found["warnings"] == found["problems"] == []
    assert found["images"] == {"labelled": 3, "rejected": 3, "ignored": 1, "failed": 1, "unreadable": 0}


@pytest.mark.kinds(*KINDS)
def test_with_the_policy_the_watchdog_works_wholly(world: PolicedAws, variables: Variables) -> None:
    leave_on(world, variables)
    world.permit()
    (acted,) = watch()
    world.permit_all()
    assert acted["stopped"]
    assert world.aws.model()["status"] == "STOPPED"
    assert (variables.leases(), world.aws.schedules()) == ([], [])
    assert len(world.topic.published()) == 1


def test_with_the_policy_the_backfill_works_wholly(world: PolicedAws, run: Run) -> None:
    clear(world.aws)
    world.permit()
    assert backfill(run) == 4
    world.permit_all()
    assert world.aws.depth() == (4, 0)


@dataclass(frozen=True)
class Denied:
    """The effect of a missing grant on a run.

    `fails`: the first task that fails; None if the run works nevertheless. `says`: text in its error, the report's
    warnings or the log.
    """

    fails: str | None
    says: str
    model_on: bool = False


ANALYSIS = "analyse_images"
EFFECTS = {
    "sqs:GetQueueAttributes on ${QUEUE_ARN}": Denied("wait_for_images", "GetQueueAttributes operation"),
    "sqs:ReceiveMessage on ${QUEUE_ARN}": Denied(ANALYSIS, "ReceiveMessage operation"),
    "sqs:DeleteMessage on ${QUEUE_ARN}": Denied(ANALYSIS, "sqs:DeleteMessage"),
    "s3:ListBucket on ${SOURCE_BUCKET}": Denied("plan_run", "source_bucket: .* allow s3:ListBucket"),
    "s3:ListBucket on ${FINAL_BUCKET}": Denied("plan_run", "final_bucket: .* allow s3:ListBucket"),
    "s3:GetObject on ${SOURCE_BUCKET}/*": Denied(ANALYSIS, "role lacks a permission .*s3:GetObject"),
    "s3:GetObjectTagging on ${SOURCE_BUCKET}/*": Denied(ANALYSIS, "s3:GetObjectTagging"),
    "s3:GetObjectAnnotation on ${SOURCE_BUCKET}/*": Denied(ANALYSIS, "s3:GetObjectAnnotation"),
    "s3:DeleteObject on ${SOURCE_BUCKET}/*": Denied(ANALYSIS, "s3:DeleteObject"),
    "s3:PutObject on ${FINAL_BUCKET}/*": Denied("plan_run", "final_bucket: .* allow s3:PutObject"),
    "s3:PutObjectTagging on ${FINAL_BUCKET}/*": Denied(ANALYSIS, "s3:PutObjectTagging"),
    "s3:PutObjectAnnotation on ${FINAL_BUCKET}/*": Denied(ANALYSIS, "s3:PutObjectAnnotation"),
    "s3:GetObject on ${FINAL_BUCKET}/*": Denied(ANALYSIS, "s3:GetObject|HeadObject operation: Forbidden"),
    "s3:GetObjectTagging on ${FINAL_BUCKET}/*": Denied(ANALYSIS, "s3:GetObjectTagging"),
    "s3:GetObjectAnnotation on ${FINAL_BUCKET}/*": Denied(ANALYSIS, "s3:GetObjectAnnotation"),
    "kms:Decrypt on ${KMS_KEY_ARN}": Denied(ANALYSIS, "kms:Decrypt"),
    "kms:GenerateDataKey on ${KMS_KEY_ARN}": Denied("plan_run", "kms:GenerateDataKey"),
    "s3:DeleteObject on ${FINAL_BUCKET}/rejected/*": Denied(ANALYSIS, "s3:DeleteObject"),
    "scheduler:CreateSchedule on arn:${PARTITION}:scheduler:*:*:schedule/default/label-detection-*": Denied(
        None, "there is no dead man's switch for this run: .*scheduler:CreateSchedule"
    ),
    "scheduler:UpdateSchedule on arn:${PARTITION}:scheduler:*:*:schedule/default/label-detection-*": Denied(
        None, "there is no dead man's switch for this run: .*scheduler:UpdateSchedule"
    ),
    "scheduler:DeleteSchedule on arn:${PARTITION}:scheduler:*:*:schedule/default/label-detection-*": Denied(
        None, "could not be removed, and stops the model at its time if it is there: .*scheduler:DeleteSchedule"
    ),
    "iam:PassRole on ${SWITCH_ROLE_ARN}": Denied(None, "there is no dead man's switch for this run: .*iam:PassRole"),
}
ENDPOINTS = "arn:${PARTITION}:sagemaker:*:*:endpoint/label-detection-*"
#: By grant that only one service's models need: the effect of its absence.
EFFECTS_OF_MODELS = {
    "rekognition": {
        "rekognition:DescribeProjects on *": Denied("plan_run", "rekognition:DescribeProjects"),
        "rekognition:DescribeProjectVersions on ${PROJECT_ARN}": Denied(
            "plan_run", "rekognition:DescribeProjectVersions"
        ),
        "rekognition:StartProjectVersion on ${MODEL_ARN}": Denied("start_model", "rekognition:StartProjectVersion"),
        "rekognition:StopProjectVersion on ${MODEL_ARN}": Denied(
            "stop_model", "rekognition:StopProjectVersion", model_on=True
        ),
        "rekognition:DetectCustomLabels on ${MODEL_ARN}": Denied(ANALYSIS, "rekognition:DetectCustomLabels"),
    },
    "sagemaker": {
        f"sagemaker:DescribeEndpoint on {ENDPOINTS}": Denied("plan_run", "sagemaker:DescribeEndpoint"),
        "sagemaker:DescribeEndpointConfig on ${MODEL_ARN}": Denied("plan_run", "sagemaker:DescribeEndpointConfig"),
        f"sagemaker:CreateEndpoint on {ENDPOINTS}": Denied("start_model", "sagemaker:CreateEndpoint.*endpoint/label"),
        "sagemaker:CreateEndpoint on ${MODEL_ARN}": Denied("start_model", "sagemaker:CreateEndpoint.*endpoint-config"),
        f"sagemaker:DeleteEndpoint on {ENDPOINTS}": Denied("stop_model", "sagemaker:DeleteEndpoint", model_on=True),
        f"sagemaker:InvokeEndpoint on {ENDPOINTS}": Denied(ANALYSIS, "sagemaker:InvokeEndpoint"),
        "s3:GetObject on ${SOURCE_BUCKET}/*": Denied(ANALYSIS, "s3:GetObject"),
    },
    "lookoutvision": {
        "lookoutvision:DescribeModel on ${MODEL_ARN}": Denied("plan_run", "lookoutvision:DescribeModel"),
        "lookoutvision:StartModel on ${MODEL_ARN}": Denied("start_model", "lookoutvision:StartModel"),
        "lookoutvision:StopModel on ${MODEL_ARN}": Denied("stop_model", "lookoutvision:StopModel", model_on=True),
        "lookoutvision:DetectAnomalies on ${MODEL_ARN}": Denied(ANALYSIS, "lookoutvision:DetectAnomalies"),
    },
}
#: Without these a run does all its work, maybe later. Each has a test of its own, below or in test_pages.py.
BESIDE_A_RUN = {
    "sqs:ChangeMessageVisibility on ${QUEUE_ARN}",
    "sns:Publish on ${TOPIC_ARN}",
    "sqs:SendMessage on ${QUEUE_ARN}",
    "cloudwatch:GetMetricStatistics on *",
}


def grant(name: str) -> Grant:
    return next(one for one in grants() if str(one) == name)


def test_every_grant_of_the_policy_is_removed_once() -> None:
    of_models = {name for effects in EFFECTS_OF_MODELS.values() for name in effects}
    assert {str(one) for one in grants()} == set(EFFECTS) | of_models | BESIDE_A_RUN


@pytest.mark.parametrize(
    ("model_kind", "name", "effect"),
    [
        *(pytest.param("rekognition", name, effect, id=name) for name, effect in EFFECTS.items()),
        *(
            pytest.param(kind, name, effect, id=f"{kind}: {name}")
            for kind, effects in EFFECTS_OF_MODELS.items()
            for name, effect in effects.items()
        ),
    ],
)
def test_a_missing_grant_is_reported_and_the_next_run_with_it_finishes(
    world: PolicedAws, name: str, effect: Denied, caplog: pytest.LogCaptureFixture
) -> None:
    aws = world.aws
    world.permit(without=grant(name))
    ran = run_pipeline(aws)
    world.permit_all()
    if effect.fails:
        assert next(iter(ran.errors)) == effect.fails
        assert re.search(effect.says, str(ran.errors[effect.fails])), ran.errors
    else:
        assert ran.errors == {}
        assert re.search(effect.says, "\n".join([caplog.text, *report(aws)["warnings"]]))
    on = aws.model()["status"] in ON
    assert on is effect.model_on
    assert on is any("THE MODEL MAY STILL BE RUNNING" in str(error) for error in ran.errors.values())
    if effect.fails:
        wait_until(lambda: aws.depth()[1] == 0, 30, "what the first run returned")
        world.permit()
        again = run_pipeline(aws, "manual__2")
        world.permit_all()
        assert again.errors == {}
    assert world.outcomes() == world.expected
    assert (aws.depth(), aws.source_keys(), aws.model()["status"]) == ((0, 0), [], "STOPPED")


def test_without_permission_to_return_a_message_the_run_awaits_its_visibility_timeout(
    world: PolicedAws, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DrainsQueue, "drain_waits", Waits(returned=30.0, others=0.0))
    world.permit(without=grant("sqs:ChangeMessageVisibility on ${QUEUE_ARN}"))
    ran = run_pipeline(world.aws)
    world.permit_all()
    assert ran.errors == {}
    assert "1 messages could not be returned to the queue:" in caplog.text
    assert world.outcomes() == world.expected
    assert (world.aws.depth(), world.aws.source_keys(), world.aws.model()["status"]) == ((0, 0), [], "STOPPED")


def test_the_watchdog_without_permission_to_stop_is_red_and_names_model_and_call(
    world: PolicedAws, variables: Variables
) -> None:
    leave_on(world, variables)
    world.permit(without=grant("rekognition:StopProjectVersion on ${MODEL_ARN}"))
    with pytest.raises(AirflowException, match=r"project/.*rekognition:StopProjectVersion"):
        watch()
    world.permit_all()
    assert variables.lease(world.aws.settings) is not None


def test_without_permission_to_publish_nothing_else_is_different(
    world: PolicedAws, variables: Variables, caplog: pytest.LogCaptureFixture
) -> None:
    leave_on(world, variables)
    world.permit(without=grant("sns:Publish on ${TOPIC_ARN}"))
    (acted,) = watch()
    world.permit_all()
    assert acted["stopped"]
    assert world.aws.model()["status"] == "STOPPED"
    assert "could not be published" in caplog.text
    assert "sns:Publish" in caplog.text
    assert world.topic.published() == []


def test_without_permission_to_send_the_backfill_fails_and_later_continues(world: PolicedAws, run: Run) -> None:
    clear(world.aws)
    world.permit(without=grant("sqs:SendMessage on ${QUEUE_ARN}"))
    with pytest.raises(AirflowFailException, match="sqs:SendMessage"):
        backfill(run)
    world.permit()
    assert backfill(run) == 4
    world.permit_all()
    assert world.aws.depth() == (4, 0)
