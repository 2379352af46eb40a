"""A whole run of the DAG on a real Airflow with LocalStack. Only the models come from the embedded AWS."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from demo.pictures import examples
from label_detection_core.labelling.keys import document_key, final_key
from label_detection_core.queue.messages import ImageRef
from sandbox.environment import free_ports
from sandbox.world import World, WorldOptions
from tests.localstack.cases import SCENES
from tests.localstack.resources import Resources
from tests.localstack.server import MODEL_OPTIONS, MODELS_URL, Aws
from tests.localstack.stack import make
from tests.system.faults.outcomes.sample_pictures import TEXT, scenes, with_own_bytes
from tests.system.pipeline import DAG_ID, Pipeline

STACK = "label-detection"
PICTURES = 30


@dataclass(frozen=True)
class Ran:
    """An ended run, and its uploads: the scene of each picture."""

    pipeline: Pipeline
    place: Resources
    run_id: str
    state: str
    uploaded: dict[ImageRef, str]

    @property
    def report(self) -> dict[str, Any]:
        """The run's report."""
        return self.pipeline.report(self.run_id)


@pytest.fixture(scope="module")
def ran(localstack: Aws, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ran]:
    """One run for all tests in this file: a stack, an Airflow on it, uploads, and the triggered DAG."""
    stack = make(localstack, STACK)
    assert stack.status() == "CREATE_COMPLETE"
    folder = tmp_path_factory.mktemp("world")
    examples(folder / "examples")
    with World(folder, _options(localstack, stack.options(), str(folder / "examples"))) as world:
        pipeline = Pipeline(world, localstack.s3, localstack.sqs)
        assert world.model()["arn"] == world.setting("model_arn")
        place = Resources(localstack, *(world.setting(name) for name in ("source_bucket", "final_bucket", "queue_url")))
        uploaded = _upload(place)
        world.api.wait_for_dag(DAG_ID, check=world.check)
        run_id = pipeline.trigger(max_tasks=2)
        yield Ran(pipeline, place, run_id, pipeline.finish(run_id), uploaded)


def _options(aws: Aws, options: dict[str, str], pictures: str) -> WorldOptions:
    """Options of a world whose own embedded AWS is used only for its model."""
    (port,) = free_ports(1)
    ours = {"port": str(port), "examples": pictures, "pictures-endpoint": aws.environment["AWS_ENDPOINT_URL"]}
    models = {MODELS_URL: f"http://127.0.0.1:{port}"}
    return WorldOptions(
        aws=MODEL_OPTIONS | ours,
        settings={"schedule": "", "wait_minutes": "0", **options},
        environment={**aws.environment, **models},
    )


def _upload(place: Resources) -> dict[ImageRef, str]:
    """Upload pictures and a text; S3 announces each."""
    s3, found = place.aws.s3, {}
    before = place.waiting()
    for number in range(PICTURES):
        scene = SCENES[number % len(SCENES)]
        key = f"line 3/{number}+é.png"
        body = with_own_bytes(scenes()[scene], key)
        etag = s3.put_object(Bucket=place.source_bucket, Key=key, Body=body)["ETag"].strip('"')
        found[ImageRef(place.source_bucket, key, etag)] = scene
    s3.put_object(Bucket=place.source_bucket, Key="text.png", Body=TEXT)
    place.wait_for_messages(before + PICTURES + 1)
    return found


def test_the_run_is_green_and_the_model_was_on_once_and_is_off(ran: Ran) -> None:
    assert ran.state == "success", ran.report["problems"]
    assert ran.pipeline.model_history()[-4:] == ["STARTING", "RUNNING", "STOPPING", "STOPPED"]


def test_every_picture_is_labelled_with_what_it_shows(ran: Ran) -> None:
    found = {}
    for image in ran.uploaded:
        key = document_key(final_key(image))
        answer = ran.place.aws.s3.get_object(Bucket=ran.place.final_bucket, Key=key)
        found[image] = {label["Name"] for label in json.loads(answer["Body"].read())["labels"]}
    assert found == {image: {scene.rsplit(" ", 1)[0]} for image, scene in ran.uploaded.items()}


def test_no_message_is_left_and_the_report_shows_none(ran: Ran) -> None:
    assert ran.pipeline.keys("source_bucket") == []
    assert ran.place.is_empty()
    images = ran.report["images"]
    assert (images["labelled"], images["rejected"], images["failed"]) == (PICTURES, 1, 0)
    assert ran.report["problems"] == []


def test_the_report_warns_once_about_the_weaker_guarantee(ran: Ran) -> None:
    weaker = [warning for warning in ran.report["warnings"] if "delete" in warning and "If-Match" in warning]
    assert len(weaker) == 1, ran.report["warnings"]


def test_the_dead_mans_switch_was_made_and_removed(ran: Ran, localstack: Aws) -> None:
    assert "no dead man's switch" not in ran.pipeline.log(ran.run_id, "start_model")
    assert not [warning for warning in ran.report["warnings"] if "switch" in warning]
    assert localstack.client("scheduler").list_schedules()["Schedules"] == []
