"""The differences of Lookout for Vision's hook: a service that AWS has ended, and anomalies.

`test_conformance.py` specifies what is common to all hooks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import pytest
from airflow.sdk.exceptions import AirflowFailException
from botocore.config import Config

from label_detection.hooks.lookoutvision import LookoutVisionModelHook
from label_detection.hooks.model import Phase, ServiceEndedError, hook_for
from label_detection.operators.run import PlanRunOperator
from label_detection_core.config.model_types import model_of
from label_detection_core.labelling.labeller import ImageRefusedError, TryAgainError
from tests.core.images import upload
from tests.plugins.label_detection.hooks.conftest import Show

if TYPE_CHECKING:
    from tests.conftest import Aws
    from tests.plugins.conftest import Run, Variables

STATES = {
    "TRAINED": ("TRAINING_COMPLETED", Phase.OFF),
    "STARTING_HOSTING": ("STARTING", Phase.STARTING),
    "HOSTED": ("RUNNING", Phase.RUNNING),
    "HOSTING_FAILED": ("FAILED", Phase.OFF),
    "STOPPING_HOSTING": ("STOPPING", Phase.STOPPING),
}


@pytest.fixture
def model_kind() -> str:
    return "lookoutvision"


@pytest.fixture
def hook(aws: Aws) -> LookoutVisionModelHook:
    hook = hook_of(aws.settings.model_arn)
    assert isinstance(hook, LookoutVisionModelHook)
    return hook


def hook_of(arn: str) -> Any:
    return hook_for(model_of(arn), "aws_default", Config(retries={"total_max_attempts": 1}))


@pytest.mark.parametrize("word", STATES)
def test_each_state_of_the_service_is_a_phase(aws: Aws, hook: LookoutVisionModelHook, word: str) -> None:
    status, phase = STATES[word]
    aws.put_model(status)
    state = hook.describe()
    assert (state.status, state.phase) == (word, phase)


def test_units_are_sent_and_returned(aws: Aws, hook: LookoutVisionModelHook) -> None:
    hook.start(3, 4)
    assert (aws.model()["units"], hook.describe().units) == (3, 3)


def without_an_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_LOOKOUTVISION"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("call", ["describe", "start", "stop"])
def test_aws_itself_is_not_called_and_the_error_has_the_cure(
    hook: LookoutVisionModelHook, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    without_an_endpoint(monkeypatch)
    says = "AWS ended Amazon Lookout for Vision on 2025-10-31.*sagemaker.*AWS_ENDPOINT_URL_LOOKOUTVISION"
    with pytest.raises(ServiceEndedError, match=says):
        getattr(hook, call)(*([1] if call == "start" else []))


def test_a_run_fails_immediately_and_takes_no_lease(
    aws: Aws, run: Run, variables: Variables, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", aws.environment["AWS_ENDPOINT_URL"])
    without_an_endpoint(monkeypatch)
    with pytest.raises(AirflowFailException, match="AWS ended Amazon Lookout for Vision on 2025-10-31"):
        run.execute(PlanRunOperator(task_id="plan_run"))
    assert variables.values == {}


def test_an_own_endpoint_of_the_service_is_enough(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    without_an_endpoint(monkeypatch)
    monkeypatch.setenv("AWS_ENDPOINT_URL_LOOKOUTVISION", aws.environment["AWS_ENDPOINT_URL"])
    assert hook_of(aws.settings.model_arn).describe().phase is Phase.OFF


def test_a_hook_takes_nothing_from_another_services_client(aws: Aws) -> None:
    """All hooks share one loader of service models in Airflow, which caches what it has found."""
    before = hook_for(model_of(aws.model("1")["arn"]), "aws_default", None)
    assert before.describe()
    assert hook_of(aws.settings.model_arn).describe()
    assert before.describe()


def test_a_good_part_is_normal_and_a_scratched_one_is_not_where_the_scratch_is(
    aws: Aws, hook: LookoutVisionModelHook, show: Show
) -> None:
    aws.put_model("RUNNING")
    good_part = show("good", 320)
    good = hook.detect(upload(aws, "good.png", cv2.imencode(".png", good_part)[1].tobytes()), 50)
    assert good.labels == []
    assert good.anomaly is not None
    assert not good.anomaly.is_anomalous
    assert 50 <= good.anomaly.confidence <= 100
    scratched = good_part.copy()
    cv2.rectangle(scratched, (180, 60), (260, 140), (0, 0, 0), -1)
    bad = hook.detect(upload(aws, "bad.png", cv2.imencode(".png", scratched)[1].tobytes()), 50)
    assert bad.anomaly is not None
    assert bad.anomaly.is_anomalous
    (defect,) = bad.labels
    assert (defect["Name"], defect["Confidence"]) == ("defect", bad.anomaly.confidence)
    box = defect["Geometry"]["BoundingBox"]
    assert box["Left"] + box["Width"] / 2 == pytest.approx(220 / 320, abs=0.06)
    assert box["Top"] + box["Height"] / 2 == pytest.approx(100 / 320, abs=0.06)
    assert hook.detect(upload(aws, "bad.png", cv2.imencode(".png", scratched)[1].tobytes()), 100).labels == []


@pytest.mark.parametrize(
    "wrong", [{"AnomalyMask": b"no PNG"}, {"IsAnomalous": None, "Confidence": "sure"}, {"Confidence": None}], ids=str
)
def test_an_answer_that_cannot_be_read_is_an_error_of_the_model(
    aws: Aws, hook: LookoutVisionModelHook, picture: bytes, wrong: dict[str, Any]
) -> None:
    """Uses a stub, because the embedded AWS gives only valid answers."""
    where = {"TotalPercentageArea": 0.1, "Color": "#23A436"}
    right = {"IsAnomalous": True, "Confidence": 0.9, "Anomalies": [{"Name": "scratch", "PixelAnomaly": where}]}
    image = upload(aws, "a.png", picture)
    hook.api.detect_anomalies = lambda **_: {"DetectAnomalyResult": right | wrong}
    with pytest.raises(TryAgainError, match="UnknownAnswer: the model's answer has an unknown format") as again:
        hook.detect(image, 50)
    assert not again.value.throttled


def test_an_image_over_the_limit_of_a_request_is_refused(
    aws: Aws, hook: LookoutVisionModelHook, picture: bytes
) -> None:
    aws.put_model("RUNNING")
    with pytest.raises(ImageRefusedError, match="the model accepts at most 8,388,608"):
        hook.detect(upload(aws, "b.png", picture + bytes(8 * 1024 * 1024)), 50)


def test_an_image_that_the_service_finds_invalid_is_refused_with_its_message(
    aws: Aws, hook: LookoutVisionModelHook, picture: bytes
) -> None:
    aws.put_model("RUNNING")
    image = upload(aws, "a.png", picture[: len(picture) // 2])
    with pytest.raises(ImageRefusedError) as refusal:
        hook.detect(image, 50)
    assert refusal.value.error.code == "ValidationException"
    assert refusal.value.doubtful, "the service gives this answer to a wrong request as well"
