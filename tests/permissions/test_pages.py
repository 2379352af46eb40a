"""The API server's permissions: with the policy of the docs the pages work; without a grant they name it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from label_detection.ui import model_now, queue_now
from label_detection_core.config.model_types import MODEL_TYPES, model_of
from sandbox.environment import PROJECT
from tests.model_calls import CALLS
from tests.permissions.conftest import encrypt
from tests.permissions.policy import KMS_KEY
from tests.plugins.label_detection.ui.conftest import RUN_ID, Run, airflow, browser, images, known  # noqa: F401
from tests.plugins.label_detection.ui.known import DAG_ID

if TYPE_CHECKING:
    from fastapi.testclient import TestClient

    from tests.conftest import Aws

DOCUMENT = json.loads((PROJECT / "docs" / "iam-policy-pages.json").read_text())
ALL = [statement["Action"] for statement in DOCUMENT["Statement"]]


def service_of(action: str) -> str:
    """The service whose models need the grant; Rekognition for grants that the pages need for every model."""
    service = action.split(":")[0]
    return service if service in CALLS else "rekognition"


def permit(aws: Aws, without: str | None = None) -> None:
    """Put the policy in force, with the statements for the settings' model only."""
    others = {kind.name for kind in MODEL_TYPES} - {model_of(aws.settings.model_arn).type.name}
    kept = [one for one in DOCUMENT["Statement"] if one["Action"].split(":")[0] not in others]
    text = json.dumps([one for one in kept if one["Action"] != without])
    for name, value in {
        "PARTITION": "aws",
        "KMS_KEY_ARN": KMS_KEY,
        "FINAL_BUCKET": aws.settings.final_bucket,
        "QUEUE_ARN": f"arn:aws:sqs:us-east-1:123456789012:{aws.settings.queue_url.rpartition('/')[2]}",
        "PROJECT_ARN": boto3.client("rekognition").describe_projects()["ProjectDescriptions"][0]["ProjectArn"],
        "MODEL_ARN": aws.settings.model_arn,
    }.items():
        text = text.replace(f"${{{name}}}", value)
    aws.control("policy", "PUT", {"Version": "2012-10-17", "Statement": json.loads(text)})


@pytest.fixture
def asked(aws: Aws, browser: TestClient, images: Run, picture: bytes) -> Iterator[Any]:  # noqa: F811
    """The answer of everything that needs AWS, with or without a grant."""
    encrypt(aws)
    images.labelled("a.png", picture, [])
    images.report(images={"labelled": 1})
    images.write()
    aws.upload("waiting.png", picture)
    (image,) = browser.get(f"/runs/{DAG_ID}/images", params={"run_id": RUN_ID}).json()["images"]

    def ask(without: str | None = None) -> dict[str, Any]:
        permit(aws, without)
        said: dict[str, Any] = {}
        for name in ("images", "image", "summary", "picture"):
            params = {"run_id": RUN_ID} | ({"image": image["id"]} if name in {"image", "picture"} else {})
            answer = browser.get(f"/runs/{DAG_ID}/{name}", params=params)
            said[name] = "" if answer.status_code == 200 else answer.json()["detail"]
        queue = queue_now.queue(aws.settings)
        said["queue"] = queue["queue_problem"] or queue["age_problem"] or ""
        said["model"] = model_now.state_of(aws.settings)[1] or ""
        return {name: words for name, words in said.items() if words}

    yield ask
    aws.control("policy", "DELETE")


@pytest.mark.kinds(*CALLS)
def test_with_the_policy_the_pages_work_wholly(asked: Any) -> None:
    assert asked() == {}


@pytest.mark.parametrize(("model_kind", "action"), [(service_of(action), action) for action in ALL], ids=ALL)
def test_without_one_grant_the_page_names_it(asked: Any, action: str) -> None:
    said = asked(without=action)
    assert said
    assert all(action in words for words in said.values()), said


def test_the_policy_is_a_part_of_the_tasks() -> None:
    of_tasks = json.loads((PROJECT / "docs" / "iam-policy.json").read_text())["Statement"]
    granted = {
        action for one in of_tasks for action in ([one["Action"]] if isinstance(one["Action"], str) else one["Action"])
    }
    assert set(ALL) <= granted
