"""The specification of a model hook: what the pipeline needs from every service that runs models.

A model type is a row in `model_types.MODEL_TYPES`, a hook and a waiter file. A new type is added to these tests as
well; nothing else of the pipeline changes. The last test makes a whole run with a type that is only registered.

The hooks call the embedded AWS over HTTP.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import boto3
import cv2
import jmespath
import jsonschema
import numpy as np
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, WaiterError
from botocore.loaders import create_loader

from label_detection.hooks.model import ModelHook, ModelInUseError, Phase, hook_for
from label_detection_core import aws_errors
from label_detection_core.config import model_types
from label_detection_core.config.model_types import MODEL_TYPES, model_of
from label_detection_core.config.settings import SettingsError, load
from label_detection_core.drain.pace import Pace
from label_detection_core.labelling.documents import SCHEMA_FILE
from label_detection_core.labelling.labeller import ImageRefusedError, ImageUnreadableError
from label_detection_core.labelling.labels import Detection
from label_detection_core.queue.messages import ImageRef
from sandbox.environment import PROJECT
from sandbox.waiting import wait_until
from tests.core.images import GIF, TEXT, outcomes, upload
from tests.permissions.pipeline import run_pipeline
from tests.plugins.label_detection.hooks import parameter_model
from tests.plugins.label_detection.hooks.conftest import Show

if TYPE_CHECKING:
    from tests.conftest import Aws
    from tests.plugins.conftest import Variables

FOURTH = parameter_model.PARAMETER.name
#: State names of the control pages, which are equal for all model types.
WORDS = {Phase.OFF: "STOPPED", Phase.STARTING: "STARTING", Phase.RUNNING: "RUNNING", Phase.STOPPING: "STOPPING"}
ON = (Phase.STARTING, Phase.RUNNING, Phase.STOPPING)


@dataclass(frozen=True)
class Subject:
    """A model, and a way to put it into a phase without its hook."""

    arn: str
    put: Callable[[Phase], None]

    def hook(self, **config: Any) -> ModelHook:
        """A hook whose client does not retry."""
        return hook_for(model_of(self.arn), "aws_default", Config(retries={"total_max_attempts": 1}, **config))


@pytest.fixture(params=[*(kind.name for kind in MODEL_TYPES), FOURTH])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def model_kind(kind: str) -> str:
    return "rekognition" if kind == FOURTH else kind


@pytest.fixture
def subject(aws: Aws, kind: str, monkeypatch: pytest.MonkeyPatch) -> Subject:
    """A model that is off."""
    if kind != FOURTH:
        subject = Subject(aws.settings.model_arn, lambda phase: aws.put_model(WORDS[phase]))
        subject.put(Phase.OFF)
        return subject
    monkeypatch.setattr(model_types, "MODEL_TYPES", (*MODEL_TYPES, parameter_model.PARAMETER))
    ssm, name = boto3.client("ssm"), model_of(parameter_model.ARN).parts["parameter"]
    subject = Subject(
        parameter_model.ARN,
        lambda phase: ssm.put_parameter(Name=name, Value=phase.value, Type="String", Overwrite=True) and None,
    )
    subject.put(Phase.OFF)
    return subject


@pytest.fixture
def hook(subject: Subject) -> ModelHook:
    return subject.hook()


@pytest.fixture
def image(aws: Aws, picture: bytes) -> ImageRef:
    return upload(aws, "line 3/é+part.png", picture)


@pytest.fixture
def faults(aws: Aws, kind: str) -> Iterator[Callable[..., None]]:
    """Makes every call to the model's service fail."""
    yield lambda **fault: aws.fail(kind, "*", **fault)
    aws.control("faults", "DELETE")


# The choice of the hook


def test_the_arn_alone_chooses_the_hook_and_its_region(subject: Subject, kind: str) -> None:
    assert model_of(subject.arn).type.name == kind
    hook: Any = hook_for(model_of(subject.arn.replace("us-east-1", "eu-west-1")), "aws_default", None, verify=False)
    assert f"{type(hook).__module__}.{type(hook).__qualname__}" == model_of(subject.arn).type.hook
    assert (hook.region_name, hook.verify, hook.aws_conn_id) == ("eu-west-1", False, "aws_default")


def test_the_option_model_arn_takes_it_and_a_row_of_the_docs_names_it(subject: Subject, kind: str) -> None:
    others = {"queue_url": "https://sqs/1/queue", "source_bucket": "source", "final_bucket": "final"}
    assert load((others | {"model_arn": subject.arn}).get).region == "us-east-1"
    with pytest.raises(SettingsError, match=model_of(subject.arn).type.shape):
        load((others | {"model_arn": "arn:aws:s3:::bucket"}).get)
    if kind != FOURTH:
        assert f"| `{model_of(subject.arn).type.shape}` |" in (PROJECT / "docs" / "models.md").read_text()


# describe


@pytest.mark.parametrize("phase", WORDS, ids=lambda phase: phase.value)
def test_describe_returns_the_pipelines_phase_and_the_services_state(
    subject: Subject, hook: ModelHook, phase: Phase
) -> None:
    subject.put(phase)
    state = hook.describe()
    assert (state.phase, state.is_on) == (phase, phase in ON)
    assert state.status
    assert str(state).startswith(state.status)
    assert state.is_gone == (phase is Phase.OFF)


def test_describe_of_a_model_that_is_not_there_names_it_and_the_option(subject: Subject) -> None:
    gone = {"rekognition": ("/1/", "/7/"), "sagemaker": ("/label", "/no-label"), FOURTH: ("fourth", "fifth")}
    arn = subject.arn.replace(*gone.get(model_of(subject.arn).type.name, ("/1", "/7")))
    assert arn != subject.arn
    with pytest.raises(LookupError, match="check model_arn"):
        replace(subject, arn=arn).hook().describe()


# start and stop


def test_start_switches_it_on(subject: Subject, hook: ModelHook) -> None:
    before = hook.describe()
    hook.start(2, 3)
    wait_until(lambda: hook.describe().phase in {Phase.STARTING, Phase.RUNNING}, 30, "Describe to show the start")
    state = hook.describe()
    assert state.units == (None if subject.arn == parameter_model.ARN else before.fixed_units or 2)


@pytest.mark.parametrize("phase", ON, ids=lambda phase: phase.value)
def test_start_of_a_model_that_is_on_returns_that_and_changes_nothing(
    subject: Subject, hook: ModelHook, phase: Phase
) -> None:
    subject.put(phase)
    with pytest.raises(ModelInUseError):
        hook.start(1)
    assert hook.describe().phase is phase


def test_stop_switches_it_off(subject: Subject, hook: ModelHook) -> None:
    subject.put(Phase.RUNNING)
    hook.stop()
    wait_until(lambda: hook.describe().phase in {Phase.STOPPING, Phase.OFF}, 30, "Describe to show the stop")


@pytest.mark.parametrize("phase", [Phase.STARTING, Phase.STOPPING, Phase.OFF], ids=lambda phase: phase.value)
def test_stop_of_a_model_that_is_not_running_returns_that_and_changes_nothing(
    subject: Subject, hook: ModelHook, phase: Phase
) -> None:
    subject.put(phase)
    with pytest.raises((ModelInUseError, LookupError)):
        hook.stop()
    assert hook.describe().phase is phase


@pytest.mark.parametrize("call", ["describe", "start", "stop"])
def test_any_other_error_has_the_message_of_the_service(
    subject: Subject, hook: ModelHook, faults: Callable[..., None], call: str
) -> None:
    subject.put(Phase.OFF if call == "start" else Phase.RUNNING)
    faults(status=403, code="AccessDeniedException", message="not yours")
    with pytest.raises(ClientError, match=r"AccessDeniedException.*not yours"):
        getattr(hook, call)(*([1] if call == "start" else []))


def test_the_stop_target_stops_the_model_without_a_hook(subject: Subject, hook: ModelHook) -> None:
    """Calls the stop target as EventBridge Scheduler does: a universal target is a service, an operation, a request."""
    subject.put(Phase.RUNNING)
    target = hook.stop_target()
    service, operation = target.arn.split(":aws-sdk:")[1].split(":")
    session = boto3.Session()
    models = PROJECT / "plugins" / "label_detection" / "service_models"
    session._session.register_component("data_loader", create_loader(str(models)))
    client = session.client(service)  # type: ignore[call-overload]
    methods = {name[0].lower() + name[1:]: method for method, name in client.meta.method_to_api_mapping.items()}
    getattr(client, methods[operation])(**json.loads(json.dumps(target.input)))
    wait_until(
        lambda: hook.describe().phase in {Phase.STOPPING, Phase.OFF}, 30, "the stop to be seen: Describe may lag"
    )


# Waiters

DONE, GOES_ON, FAILS = "done", "goes on", "fails"
#: By phase: the result of `model_running`, and of `model_stopped`.
WAITS = {
    Phase.OFF: (FAILS, DONE),
    Phase.STARTING: (GOES_ON, GOES_ON),
    Phase.RUNNING: (DONE, GOES_ON),
    Phase.STOPPING: (FAILS, GOES_ON),
}
ONCE = {"Delay": 0, "MaxAttempts": 1}


def one_look(hook: Any, waiter: str, deferrable: bool) -> tuple[str, dict[str, Any]]:
    """A waiter's result after one look, and the last answer that it saw."""

    async def look() -> None:
        async with await hook.get_async_conn() as client:
            await hook.get_waiter(waiter, deferrable=True, client=client).wait(**arguments, WaiterConfig=ONCE)

    arguments = json.loads(json.dumps(hook.waiter_args()))  # the waiter's arguments are sent to the triggerer
    try:
        asyncio.run(look()) if deferrable else hook.get_waiter(waiter).wait(**arguments, WaiterConfig=ONCE)
    except WaiterError as error:
        return GOES_ON if "Max attempts exceeded" in str(error) else FAILS, dict(error.last_response)
    return DONE, {}


@pytest.mark.parametrize("deferrable", [False, True], ids=["blocking", "deferrable"])
@pytest.mark.parametrize("phase", WORDS, ids=lambda phase: phase.value)
def test_waiters_continue_end_or_fail_with_the_phase(
    subject: Subject, hook: ModelHook, phase: Phase, deferrable: bool
) -> None:
    subject.put(phase)
    found = tuple(one_look(hook, waiter, deferrable)[0] for waiter in ("model_running", "model_stopped"))
    assert found == WAITS[phase]


def test_the_answer_that_a_waiter_sees_has_the_services_state_at_status(subject: Subject, hook: ModelHook) -> None:
    subject.put(Phase.STARTING)
    _, answer = one_look(hook, "model_running", deferrable=False)
    assert jmespath.search(hook.STATUS, answer) == hook.describe().status


# detect


@pytest.fixture
def scene(aws: Aws, show: Show) -> ImageRef:
    """A picture of a known object that is partly hidden, so that the model's confidence is below 100."""
    pixels = np.full((400, 600, 3), 200, np.uint8)
    pixels[100:260, 300:460] = show("shown", 160)
    pixels[100:140, 300:460] = 200
    return upload(aws, "scene.png", cv2.imencode(".png", pixels)[1].tobytes())


def test_detect_answers_with_labels_of_one_shape(subject: Subject, hook: ModelHook, scene: ImageRef) -> None:
    subject.put(Phase.RUNNING)
    found = hook.detect(scene, 0)
    assert found.labels
    assert isinstance(found, Detection)
    schema = json.loads(SCHEMA_FILE.read_text())
    shape = schema["$defs"]["LabelDocument"]["properties"]["labels"] | {"$defs": schema["$defs"]}
    jsonschema.validate(found.labels, shape, jsonschema.Draft202012Validator)
    assert all(0 <= label["Confidence"] <= 100 for label in found.labels)


def test_labels_below_the_least_confidence_are_left_out(subject: Subject, hook: ModelHook, scene: ImageRef) -> None:
    subject.put(Phase.RUNNING)
    all_of_them = hook.detect(scene, 0).labels
    surest = max(float(label["Confidence"]) for label in all_of_them)
    assert surest < 99.9
    least = surest - 0.05
    assert hook.detect(scene, least).labels == [label for label in all_of_them if label["Confidence"] >= least]
    assert hook.detect(scene, surest + 0.05).labels == []


@pytest.mark.parametrize("body", [GIF, TEXT, b""], ids=["gif", "text", "empty file"])
def test_a_file_that_is_no_image_is_refused_with_a_reason(
    aws: Aws, subject: Subject, hook: ModelHook, body: bytes
) -> None:
    subject.put(Phase.RUNNING)
    with pytest.raises(ImageRefusedError) as refusal:
        hook.detect(upload(aws, "notes.png", body), 50)
    assert refusal.value.error.code == "InvalidImageFormatException"
    assert refusal.value.error.message


@pytest.mark.parametrize("where", ["key", "bucket"])
def test_an_image_that_is_not_there_is_unreadable_and_not_refused(
    subject: Subject, hook: ModelHook, image: ImageRef, where: str
) -> None:
    subject.put(Phase.RUNNING)
    with pytest.raises(ImageUnreadableError):
        hook.detect(replace(image, **{where: "no-such-thing"}), 50)  # type: ignore[arg-type]


@pytest.mark.parametrize("phase", [Phase.OFF, Phase.STARTING, Phase.STOPPING], ids=lambda phase: phase.value)
def test_a_model_that_is_not_running_is_no_images_fault_and_does_not_pass(
    subject: Subject, hook: ModelHook, image: ImageRef, phase: Phase
) -> None:
    subject.put(phase)
    with pytest.raises((ClientError, LookupError)) as failure:
        hook.detect(image, 50)
    assert not aws_errors.is_transient(failure.value)


@pytest.mark.parametrize(
    ("fault", "passes"),
    [
        pytest.param({"status": 403, "code": "AccessDeniedException"}, False, id="denied"),
        pytest.param({"status": 400, "code": "AnErrorOfTheYear2030"}, False, id="unknown"),
        pytest.param({"status": 400, "code": "ThrottlingException"}, True, id="throttled"),
        pytest.param({"status": 500}, True, id="down"),
        pytest.param({"status": 503, "code": "ServiceUnavailable"}, True, id="unavailable"),
        pytest.param({"reset": True}, True, id="connection cut"),
    ],
)
def test_errors_of_the_service_are_raised_unchanged_and_are_no_images_fault(
    subject: Subject,
    hook: ModelHook,
    image: ImageRef,
    faults: Callable[..., None],
    fault: dict[str, Any],
    passes: bool,
) -> None:
    subject.put(Phase.RUNNING)
    faults(**fault)
    with pytest.raises(aws_errors.AWS_ERRORS) as failure:
        hook.detect(image, 50)
    assert aws_errors.is_transient(failure.value) is passes


def test_each_send_waits_for_its_turn_and_reports_its_answer_to_the_pace(
    subject: Subject, hook: ModelHook, image: ImageRef, faults: Callable[..., None]
) -> None:
    subject.put(Phase.RUNNING)
    pace = Pace(100.0, 0.1)
    hook.keep_pace(pace)
    with pace.image() as calls:
        hook.detect(image, 50)
    assert calls.seconds is not None
    assert calls.throttled == 0
    faults(status=400, code="ThrottlingException", times=1)
    with pace.image() as calls, suppress(ClientError):
        hook.detect(image, 50)
    assert calls.throttled == 1
    assert pace.images_per_second < 100


# A whole run with a registered hook


def test_a_run_needs_nothing_else_of_a_model_type(
    aws: Aws, subject: Subject, hook: ModelHook, variables: Variables, monkeypatch: pytest.MonkeyPatch, image: ImageRef
) -> None:
    monkeypatch.setenv("AIRFLOW__LABEL_DETECTION__MODEL_ARN", subject.arn)
    notes = upload(aws, "notes.png", TEXT)
    assert run_pipeline(aws, look_early=True).errors == {}
    assert [outcomes(aws, one) for one in (image, notes)] == [["labelled"], ["rejected"]]
    assert hook.describe().phase is Phase.OFF
    assert variables.lease(aws.settings.model_copy(update={"model_arn": subject.arn})) is None
