"""Links from a task to its resources in the AWS console."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from label_detection.links.console import (
    ConsoleLink,
    FinalBucketLink,
    ModelLink,
    QueueLink,
    RunFolderLink,
    SourceBucketLink,
)
from label_detection.operators.images import AnalyseImagesOperator
from label_detection.operators.model import StartModelOperator, StopModelOperator
from label_detection.operators.run import PlanRunOperator, WriteReportOperator
from label_detection.sensors.sqs import QueueDepthSensor
from label_detection_core.config.settings import Settings
from tests.conftest import Aws
from tests.plugins.conftest import Run

REKOGNITION = "arn:aws:rekognition:eu-west-1:123456789012:project/parts/version/parts.2026/1690000000000"
SAGEMAKER = "arn:aws:sagemaker:eu-west-1:123456789012:endpoint-config/parts"
RUN = SimpleNamespace(run_id="scheduled__2026-11-22T06:00:00+00:00")
HOST = "https://eu-west-1.console.aws.amazon.com"


def settings(model_arn: str) -> Settings:
    return Settings(
        queue_url="https://sqs.eu-west-1.amazonaws.com/123456789012/parts",
        source_bucket="parts-in",
        final_bucket="parts-out",
        model_arn=model_arn,
    )


def link(one: ConsoleLink, known: Settings | None) -> str:
    operator: Any = SimpleNamespace(settings=known) if known else SimpleNamespace()
    ti: Any = RUN
    return one.get_link(operator, ti_key=ti)


@pytest.fixture(autouse=True)
def _at_aws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)


@pytest.mark.parametrize(
    ("one", "model_arn", "address"),
    [
        (
            QueueLink(),
            REKOGNITION,
            f"{HOST}/sqs/v3/home?region=eu-west-1"
            "#/queues/https%3A%2F%2Fsqs.eu-west-1.amazonaws.com%2F123456789012%2Fparts",
        ),
        (SourceBucketLink(), REKOGNITION, f"{HOST}/s3/buckets/parts-in?region=eu-west-1"),
        (FinalBucketLink(), SAGEMAKER, f"{HOST}/s3/buckets/parts-out?region=eu-west-1"),
        (
            RunFolderLink(),
            REKOGNITION,
            f"{HOST}/s3/buckets/parts-out?region=eu-west-1"
            "&prefix=runs%2Fscheduled__2026-11-22T06%3A00%3A00%2B00%3A00%2F",
        ),
        (ModelLink(), REKOGNITION, f"{HOST}/rekognition/custom-labels?region=eu-west-1#/projects"),
        (ModelLink(), SAGEMAKER, f"{HOST}/sagemaker/home?region=eu-west-1#/endpoints/label-detection-parts-"),
    ],
    ids=["queue", "source bucket", "final bucket", "report", "Rekognition's model", "SageMaker's endpoint"],
)
def test_a_link_leads_to_its_page_in_the_models_region(one: ConsoleLink, model_arn: str, address: str) -> None:
    found = link(one, settings(model_arn))
    assert found.startswith(address)
    assert found == address or "endpoints" in address


@pytest.mark.parametrize(
    ("partition", "domain"),
    [("aws-cn", ".console.amazonaws.cn/"), ("aws-us-gov", ".console.amazonaws-us-gov.com/"), ("aws-iso", "")],
)
def test_other_partitions_have_consoles_of_their_own_or_none_that_is_known(partition: str, domain: str) -> None:
    found = link(QueueLink(), settings(SAGEMAKER.replace("arn:aws:", f"arn:{partition}:")))
    assert domain in found
    assert bool(found) is bool(domain)


def test_before_the_settings_are_known_there_is_no_link() -> None:
    assert link(ModelLink(), None) == ""


def test_another_server_instead_of_aws_has_no_console(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:5000")
    assert link(ModelLink(), settings(REKOGNITION)) == ""


@pytest.mark.parametrize(
    ("operator", "names"),
    [
        (QueueDepthSensor, ["Queue", "Source bucket"]),
        (PlanRunOperator, ["Queue", "Source bucket", "Final bucket", "Model"]),
        (StartModelOperator, ["Model"]),
        (StopModelOperator, ["Model"]),
        (AnalyseImagesOperator, ["Labelled pictures", "Final bucket", "Model"]),
        (WriteReportOperator, ["Labelled pictures", "Report in the final bucket", "Final bucket"]),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_each_task_has_links_to_what_it_works_on(operator: Any, names: list[str]) -> None:
    assert [one.name for one in operator.operator_extra_links] == names


def test_a_task_stores_its_resources_for_its_links(aws: Aws, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", aws.environment["AWS_ENDPOINT_URL"])
    plan_run = PlanRunOperator(task_id="plan_run")
    run.execute(plan_run)
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    ti: Any = RUN
    assert aws.settings.final_bucket in FinalBucketLink().get_link(plan_run, ti_key=ti)
