"""One outcome for every version, on a real scheduler: task processes killed, calls failing, deadlines passing."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from random import Random
from typing import Any

import psutil
import pytest

from sandbox.waiting import wait_until
from tests.system.faults.breaking import BreakablePipeline
from tests.system.faults.outcomes.audit import Audit, AuditedPipeline, Outcome, Uploads, audit
from tests.system.faults.outcomes.place import random_faults
from tests.system.faults.outcomes.results import ImageRow, add
from tests.system.faults.outcomes.sample_pictures import scenes
from tests.system.faults.outcomes.test_steps import STEPS, Step

IMAGES = 200
NAMES = list(scenes())
_RUNS = 6

Conclude = Callable[..., Audit]


@pytest.fixture
def uploads(pipeline: BreakablePipeline) -> Uploads:
    """The empty list of uploads. The expected answers for the scenes are read already."""
    world = pipeline.world
    queue = world.setting("queue_url")
    place = AuditedPipeline(
        pipeline.s3,
        pipeline.sqs,
        world.aws_environment,
        world.setting("source_bucket"),
        world.setting("final_bucket"),
        queue,
        world.model()["arn"],
        dead_letters_url=f"{queue}-dead-letters",
    )
    pipeline.put_model("RUNNING")
    assert place.answers
    pipeline.put_model("STOPPED")
    return Uploads(place)


@pytest.fixture
def conclude_images(pipeline: BreakablePipeline, uploads: Uploads) -> Conclude:
    """Ends a test: further runs without faults until the queue is empty, the audit, and a row in the table."""

    def conclude(fault: str, done: Counter[str]) -> Audit:
        pipeline.heal()
        for _ in range(_RUNS):
            uploads.place.wait_until_visible()
            if uploads.place.depth() == (0, 0):
                break
            done["further run"] += 1
            pipeline.finish(pipeline.trigger(max_tasks=4))
        found = audit(uploads.place, uploads.versions)
        add(ImageRow.of(f"on a scheduler: {fault}", done, found))
        assert not found.problems, found.problems
        assert pipeline.status() == "STOPPED"
        return found

    return conclude


def upload(uploads: Uploads, images: int = IMAGES, copies: int = 0) -> None:
    """Upload pictures, one in twenty a text. Each event is sent `copies` times more."""
    for number in range(images):
        scene = None if number % 20 == 7 else NAMES[number % len(NAMES)]
        version = uploads.put(f"line 3/{number}+é.jpg", scene)
        for _ in range(copies):
            uploads.announce_again(version)


def analysing(pipeline: BreakablePipeline, run_id: str) -> list[psutil.Process]:
    """The processes of a run's analysis tasks."""
    members = set(pipeline.world.processes["scheduler"].members())
    found = []
    for task in pipeline.world.api.tasks("label_detection", run_id):
        if task.task_id == "analyse_images" and task.state == "running" and task.pid in members:
            with suppress(psutil.NoSuchProcess):
                found.append(psutil.Process(task.pid))
    return found


@pytest.mark.parametrize("seed", [pytest.param(1, marks=pytest.mark.gate), 2])
def test_killed_again_and_again_while_calls_fail(
    pipeline: BreakablePipeline, uploads: Uploads, conclude_images: Conclude, seed: int
) -> None:
    print(f"seed {seed}")  # noqa: T201
    random, done = Random(seed), Counter[str]()  # noqa: S311
    upload(uploads, IMAGES)
    for version in random.sample(uploads.versions, IMAGES // 5):
        uploads.announce_again(version)
    pipeline.world.control("faults", "PUT", random_faults(seed * 1000))
    run_id = pipeline.trigger(max_tasks=4)
    while pipeline.world.api.run_state("label_detection", run_id) not in ("success", "failed"):
        if processes := analysing(pipeline, run_id):
            with suppress(psutil.NoSuchProcess):
                random.choice(processes).kill()
                done["killed task"] += 1
            old = random.choice(uploads.versions)
            uploads.put(old.key, random.choice(NAMES))
            done["overwritten"] += 1
        time.sleep(random.uniform(0.5, 5))
    assert done["killed task"] > 3
    conclude_images(f"5 % of all calls fail, seed {seed}", done)


@pytest.mark.parametrize("step", STEPS[1:], ids=lambda step: step.name)
def test_killed_in_a_step(pipeline: BreakablePipeline, uploads: Uploads, conclude_images: Conclude, step: Step) -> None:
    """Kills the first try right before the step, and the second try right after it."""
    upload(uploads, 100)
    run_id = None
    for when in ("before", "after"):
        victim = f"{when}-victim"
        fault = step.fault(victim, when=when, delay=120)
        pipeline.world.control("faults", "PUT", [fault])
        uploads.put(f"{victim}.jpg", NAMES[0])
        run_id = run_id or pipeline.trigger(max_tasks=1)
        wait_until(lambda: not pipeline.world.control("faults"), 90, str(fault), pipeline.world.check, every=0.1)
        pipeline.kill_task(run_id, "analyse_images")
    assert run_id
    pipeline.finish(run_id)
    found = conclude_images(f"killed right before and right after {step.name}", Counter({"killed task": 2}))
    assert found.counts[Outcome.LABELLED] == 95 + 2


def test_every_event_comes_three_times_to_four_tasks(
    pipeline: BreakablePipeline, uploads: Uploads, conclude_images: Conclude
) -> None:
    upload(uploads, 150, copies=2)
    assert pipeline.finish(pipeline.trigger(max_tasks=4)) == "success"
    found = conclude_images("each event comes three times, 4 tasks", Counter({"duplicate": 300}))
    assert found.counts[Outcome.LABELLED] == 142


def test_a_task_stopped_for_longer_than_the_visibility_timeout(
    pipeline: BreakablePipeline, uploads: Uploads, conclude_images: Conclude
) -> None:
    upload(uploads)
    run_id = pipeline.trigger(max_tasks=2)
    pipeline.until_analysing()
    stopped = analysing(pipeline, run_id)[0]
    stopped.suspend()
    time.sleep(75)  # the other task has received its messages
    stopped.resume()
    pipeline.finish(run_id)
    conclude_images("a task is suspended for 75 s", Counter({"suspended task": 1}))


def test_the_queue_takes_messages_away(
    pipeline: BreakablePipeline, uploads: Uploads, conclude_images: Conclude
) -> None:
    """The messages of a killed task go to the dead-letter queue; their images stay in the source bucket."""
    place = uploads.place
    names: Any = ["RedrivePolicy"]
    usual: Any = pipeline.sqs.get_queue_attributes(QueueUrl=place.queue_url, AttributeNames=names)["Attributes"]
    once = json.loads(usual["RedrivePolicy"]) | {"maxReceiveCount": 1}
    pipeline.sqs.set_queue_attributes(QueueUrl=place.queue_url, Attributes={"RedrivePolicy": json.dumps(once)})
    try:
        upload(uploads)
        run_id = pipeline.trigger(max_tasks=2)
        pipeline.until_analysing()
        analysing(pipeline, run_id)[0].kill()
        pipeline.finish(run_id)
        found = conclude_images("the redrive policy moves a message after one receive", Counter({"killed task": 1}))
        assert found.counts[Outcome.DEAD]
    finally:
        pipeline.sqs.set_queue_attributes(QueueUrl=place.queue_url, Attributes=usual)
        pipeline.sqs.purge_queue(QueueUrl=str(place.dead_letters_url))
