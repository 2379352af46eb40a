"""The model's ARN alone decides which service runs the model."""

from __future__ import annotations

import pickle

import pytest

from label_detection_core.config import model_types
from label_detection_core.config.model_types import MODEL_TYPES, NamesModel, UnknownModelError, model_of

ARNS = {
    "rekognition": "arn:aws:rekognition:eu-west-1:123456789012:project/parts/version/parts.2026/1690000000000",
    "sagemaker": "arn:aws:sagemaker:eu-west-1:123456789012:endpoint-config/parts",
    "lookoutvision": "arn:aws:lookoutvision:eu-west-1:123456789012:model/parts/1",
}


def test_each_known_model_type_is_in_this_table() -> None:
    assert set(ARNS) == {kind.name for kind in MODEL_TYPES}


@pytest.mark.parametrize(("name", "arn"), ARNS.items(), ids=ARNS)
def test_an_arn_has_the_model_type_the_region_and_the_command_for_a_manual_stop(name: str, arn: str) -> None:
    model = model_of(arn)
    assert (model.type.name, model.region) == (name, "eu-west-1")
    assert model.stop_command.startswith(f"aws {name} ")
    assert "{" not in model.stop_command
    assert model_of(arn.replace("arn:aws:", "arn:aws-us-gov:")).type is model.type


@pytest.mark.parametrize(
    "arn",
    [
        pytest.param("", id="empty"),
        pytest.param("arn:aws:s3:::parts", id="another service"),
        pytest.param("arn:aws:rekognition:eu-west-1:123456789012:project/parts/1690000000000", id="a project"),
        pytest.param("arn:aws:sagemaker:eu-west-1:123456789012:endpoint/parts", id="an endpoint"),
        pytest.param("arn:aws:sagemaker:eu-west-1:123456789012:endpoint-config/-parts", id="an invalid config"),
        pytest.param("arn:aws:lookoutvision:eu-west-1:123456789012:project/parts", id="a project of Lookout"),
        pytest.param(ARNS["sagemaker"] + "\n", id="a second line"),
    ],
)
def test_any_other_arn_is_one_error_that_lists_the_known_forms(arn: str) -> None:
    with pytest.raises(UnknownModelError) as unknown:
        model_of(arn)
    message = str(unknown.value)
    assert message.startswith("must be the ARN of a model: ")
    assert all(kind.shape in message and f"({kind.name})" in message for kind in model_types.MODEL_TYPES)


class Stored(NamesModel):
    model_arn: str
    more: int = 0


def test_a_stored_arn_is_parsed_once_and_the_model_is_never_stored() -> None:
    stored, other = (Stored(model_arn=ARNS["rekognition"]) for _ in range(2))
    assert stored.model is stored.model
    assert stored == other, "a read model must not change equality"
    assert stored.model_dump() == {"model_arn": ARNS["rekognition"], "more": 0}


@pytest.mark.parametrize("deep", [False, True], ids=["a copy", "a deep copy"])
def test_a_copy_with_another_arn_names_another_model(*, deep: bool) -> None:
    stored = Stored(model_arn=ARNS["rekognition"])
    assert stored.model.type.name == "rekognition"
    assert stored.model_copy(update={"model_arn": ARNS["sagemaker"]}, deep=deep).model.type.name == "sagemaker"


def test_a_stored_arn_can_be_pickled_after_its_model_was_read() -> None:
    stored = Stored(model_arn=ARNS["rekognition"])
    assert stored.model
    assert pickle.loads(pickle.dumps(stored)) == stored  # noqa: S301  # the test itself has written the data
