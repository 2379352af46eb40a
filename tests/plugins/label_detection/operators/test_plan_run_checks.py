"""The plan checks the needs of the run before a model is started and paid for, and logs one line per problem."""

from __future__ import annotations

import builtins
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import pytest
from airflow.sdk.exceptions import AirflowFailException
from botocore.client import BaseClient
from botocore.exceptions import ClientError

from label_detection import preflight, xcom
from label_detection.operators.run import PlanRunOperator
from label_detection_core.config.settings import OptionPlace, Settings
from label_detection_core.labelling.conditions import Conditions
from tests.model_calls import KINDS
from tests.plugins.conftest import RUN_ID, Run, Variables

if TYPE_CHECKING:
    from tests.conftest import Aws

EUROPE: Final = "eu-west-1"
BUCKETS = ["source_bucket", "final_bucket"]


def plan(run: Run) -> None:
    run.execute(PlanRunOperator(task_id="plan_run"))


def refused(aws: Aws, run: Run, variables: Variables) -> str:
    """The one line of plan_run's error. Checks that it started nothing and took no lease."""
    with pytest.raises(AirflowFailException) as failure:
        plan(run)
    assert not run.xcoms
    assert not variables.values
    assert aws.model()["status"] == "TRAINING_COMPLETED"
    line = str(failure.value)
    assert "\n" not in line
    return line


def warnings(run: Run) -> list[str]:
    context: Any = run.context("write_report")
    return xcom.pull_warnings(context)


Answer = Callable[[str, dict[str, Any]], None]


@pytest.fixture
def answer(monkeypatch: pytest.MonkeyPatch) -> Answer:
    """Have an operation's answer hold what the embedded AWS never answers."""
    call = vars(BaseClient)["_make_api_call"]
    added: dict[str, dict[str, Any]] = {}

    def answered(self: Any, operation: str, request: Any) -> Any:
        return {**call(self, operation, request), **added.get(operation, {})}

    monkeypatch.setattr(BaseClient, "_make_api_call", answered)
    return added.__setitem__


@pytest.fixture
def abroad(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """Makes an option name a bucket in Europe."""

    def make(option: str) -> str:
        name = f"{getattr(aws.settings, option)}-eu"
        aws.s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": EUROPE})
        monkeypatch.setenv(f"AIRFLOW__LABEL_DETECTION__{option.upper()}", name)
        return name

    return make


# Regions


@pytest.mark.parametrize("option", BUCKETS)
def test_a_bucket_that_the_model_cannot_read_is_named_with_both_regions(
    aws: Aws, run: Run, variables: Variables, abroad: Callable[[str], str], option: str
) -> None:
    name = abroad(option)
    line = refused(aws, run, variables)
    assert line.startswith(f"[label_detection] {option}: the bucket '{name}' is in {EUROPE}, the model in us-east-1")


@pytest.mark.kinds("sagemaker", "lookoutvision")
@pytest.mark.parametrize("option", BUCKETS)
def test_for_a_model_that_is_sent_the_images_another_region_is_a_warning(
    aws: Aws, run: Run, abroad: Callable[[str], str], option: str
) -> None:
    name = abroad(option)
    plan(run)
    (warning,) = warnings(run)
    assert f"the bucket '{name}' is in {EUROPE}, the model in us-east-1" in warning


def test_an_s3_without_regions_is_not_compared(aws: Aws, run: Run, answer: Answer) -> None:
    answer("HeadBucket", {"BucketRegion": None})
    plan(run)
    assert warnings(run) == []


QUEUES = {
    "standard": ("https://sqs.eu-west-1.amazonaws.com/123456789012/q", EUROPE),
    "the model's": ("https://sqs.us-east-1.amazonaws.com/123456789012/q", None),
    "FIPS": ("https://sqs-fips.us-east-2.amazonaws.com/123456789012/q", "us-east-2"),
    "dual stack": ("https://sqs.eu-west-1.api.aws/123456789012/q", EUROPE),
    "VPC endpoint": ("https://vpce-1-2.sqs.eu-west-1.vpce.amazonaws.com/123456789012/q", EUROPE),
    "China": ("https://sqs.cn-north-1.amazonaws.com.cn/123456789012/q", "cn-north-1"),
    "GovCloud": ("https://sqs.us-gov-west-1.amazonaws.com/123456789012/q", "us-gov-west-1"),
    "older form": ("https://eu-west-1.queue.amazonaws.com/123456789012/q", EUROPE),
    "older form without a Region": ("https://queue.amazonaws.com/123456789012/q", None),
    "another SQS": ("http://127.0.0.1:4566/000000000000/q", None),
}


@pytest.mark.parametrize(("url", "region"), QUEUES.values(), ids=QUEUES)
def test_the_queues_region_by_its_url_must_be_the_models(url: str, region: str | None) -> None:
    settings = Settings(
        queue_url=url,
        source_bucket="source",
        final_bucket="final",
        model_arn="arn:aws:rekognition:us-east-1:123456789012:project/parts/version/1/1690000000000",
    )
    if region is None:
        preflight.check_queue(settings, OptionPlace())
        return
    with pytest.raises(AirflowFailException) as failure:
        preflight.check_queue(settings, OptionPlace())
    assert str(failure.value).startswith(
        f"[label_detection] queue_url: the queue {url} is in {region}, the model in us-east-1"
    )


# Bucket types


def test_a_requester_pays_bucket_is_refused(aws: Aws, run: Run, variables: Variables, answer: Answer) -> None:
    answer("GetBucketRequestPayment", {"Payer": "Requester"})
    assert "is a Requester Pays bucket, which is not supported" in refused(aws, run, variables)


@pytest.mark.parametrize("fault", [{"status": 403, "code": "AccessDenied"}, {"status": 501, "code": "NotImplemented"}])
def test_who_pays_is_not_checked_without_the_permission(
    aws: Aws, run: Run, monkeypatch: pytest.MonkeyPatch, fault: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    call = vars(BaseClient)["_make_api_call"]

    def fails(self: Any, operation: str, request: Any) -> Any:
        if operation == "GetBucketRequestPayment":
            answer: Any = {"Error": {"Code": fault["code"]}, "ResponseMetadata": {"HTTPStatusCode": fault["status"]}}
            raise ClientError(answer, operation)
        return call(self, operation, request)

    monkeypatch.setattr(BaseClient, "_make_api_call", fails)
    plan(run)
    assert warnings(run) == []
    assert f"whether {aws.settings.source_bucket} is a Requester Pays bucket is not known" in caplog.text


# Packages


def without(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    """Make a package look as if it were not installed."""
    real = builtins.__import__
    for name in [name for name in sys.modules if name.split(".")[0] == package or name in _IMPORTERS]:
        monkeypatch.delitem(sys.modules, name)

    def missing(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.split(".")[0] == package:
            raise ModuleNotFoundError(f"No module named '{package}'", name=package)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", missing)
    monkeypatch.setitem(sys.modules, package, None)


_IMPORTERS = {
    "label_detection_core.labelling.anomalies",
    "label_detection_core.labelling.image_bytes",
    "label_detection.hooks.lookoutvision",
    "label_detection.hooks.sagemaker",
    "label_detection.hooks.source_images",
}


@pytest.mark.kinds("sagemaker", "lookoutvision")
def test_a_missing_pillow_is_named_before_anything_is_started(
    aws: Aws, run: Run, variables: Variables, monkeypatch: pytest.MonkeyPatch
) -> None:
    without(monkeypatch, "PIL")
    line = refused(aws, run, variables)
    assert "the Python module PIL cannot be imported" in line
    assert "install the package pillow from requirements.txt" in line


@pytest.mark.kinds(*KINDS)
def test_a_package_that_the_triggerer_needs_is_named_too(
    aws: Aws, run: Run, variables: Variables, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "aiobotocore", None)
    assert "install the package apache-airflow-providers-amazon[aiobotocore]" in refused(aws, run, variables)


# Doubtful options, and the conditional requests that the final bucket's S3 supports


def test_doubtful_options_are_warnings_in_log_and_report(
    aws: Aws, run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Settings, "doubts", lambda _: ["min_confidence is 0.7 of 100", "max_tasks is 100"])
    plan(run)
    assert warnings(run) == ["min_confidence is 0.7 of 100", "max_tasks is 100"]
    assert capsys.readouterr().out.count("min_confidence is 0.7 of 100") == 1


def test_conditions_that_the_final_buckets_s3_ignores_are_in_the_plan_and_a_warning(
    aws: Aws, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, str]] = []

    def weaker(s3: Any, bucket: str, key: str) -> Conditions:
        asked.append((bucket, key))
        return Conditions(deletes=False)

    monkeypatch.setattr(preflight, "probe", weaker)
    monkeypatch.setattr(Conditions, "warnings", lambda _: ["deletes are not conditional"])
    plan(run)
    assert asked == [(aws.settings.final_bucket, f"rejected/conditions-probe/{RUN_ID}")]
    made = xcom.require_plan(run.context("start_model"))  # type: ignore[arg-type]
    assert made.conditions == Conditions(deletes=False)
    assert warnings(run) == ["deletes are not conditional"]


def failing(operation: str, status: int = 403) -> Callable[..., Conditions]:
    def probe(*_: Any) -> Conditions:
        answer: Any = {"Error": {"Code": "AccessDenied"}, "ResponseMetadata": {"HTTPStatusCode": status}}
        raise ClientError(answer, operation)

    return probe


def test_a_final_bucket_that_may_not_be_written_is_refused(
    aws: Aws, run: Run, variables: Variables, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preflight, "probe", failing("PutObject"))
    assert "final_bucket: the bucket" in (line := refused(aws, run, variables))
    assert "allow s3:PutObject" in line


def test_a_probe_that_is_denied_another_call_stops_nothing(aws: Aws, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "probe", failing("DeleteObject"))
    plan(run)
    made = xcom.require_plan(run.context("start_model"))  # type: ignore[arg-type]
    assert made.conditions == Conditions()


def test_a_probe_that_finds_the_service_down_is_left_to_a_retry(
    aws: Aws, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preflight, "probe", failing("PutObject", 503))
    with pytest.raises(ClientError):
        plan(run)


def test_a_plan_of_an_earlier_version_is_read(aws: Aws, run: Run) -> None:
    run.plan(aws.settings)
    del run.xcoms["plan_run", "plan"]["conditions"]
    made = xcom.require_plan(run.context("start_model"))  # type: ignore[arg-type]
    assert made.conditions == Conditions()
