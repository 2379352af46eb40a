"""Messages delivered twice, late, or to two consumers; overwritten images; a deadline that passes."""

from __future__ import annotations

import time
from random import Random

import pytest

from sandbox.waiting import wait_until
from tests.system.faults.outcomes.audit import Outcome, Uploads, audit
from tests.system.faults.outcomes.conftest import Conclude, MakeCrew
from tests.system.faults.outcomes.consumer import FICKLE
from tests.system.faults.outcomes.crew import VISIBILITY_SECONDS, Crew
from tests.system.faults.outcomes.place import ImageAws
from tests.system.faults.outcomes.sample_pictures import scenes
from tests.system.faults.outcomes.test_steps import STEPS, Step

IMAGES = 120
NAMES = list(scenes())


def upload(uploads: Uploads, copies: int = 0) -> None:
    """Upload pictures: one in twenty is a text, and the model refuses one in ten in half of the calls."""
    for number in range(IMAGES):
        if number % 20 == 7:
            version = uploads.put(f"bad/{number}.jpg", None)
        elif number % 10 == 3:
            version = uploads.put(f"{FICKLE}/{number}.jpg", NAMES[0], Outcome.LABELLED, Outcome.REJECTED)
        else:
            version = uploads.put(f"line 3/{number}+é.jpg", NAMES[number % len(NAMES)])
        for _ in range(copies):
            uploads.announce_again(version)


@pytest.mark.model
@pytest.mark.gate
def test_every_event_comes_three_times_to_four_consumers(make_crew: MakeCrew, conclude: Conclude) -> None:
    uploads, crew = make_crew()
    upload(uploads, copies=2)
    crew.done["duplicate"] = 2 * IMAGES
    conclude("each event comes three times, 4 consumers", uploads, crew)


def test_visibility_expires_during_work(make_crew: MakeCrew, conclude: Conclude) -> None:
    uploads, crew = make_crew()
    random = Random(1)  # noqa: S311
    upload(uploads)
    for _ in range(3):
        crew.fill()
        time.sleep(2)
        crew.stop_one(random)
        crew.stop_one(random)
        time.sleep(VISIBILITY_SECONDS + 1.5)
        crew.wake()
    conclude("the visibility timeout expires during work", uploads, crew)


@pytest.mark.gate
def test_an_image_is_overwritten_before_and_after_each_call(
    image_aws: ImageAws, make_crew: MakeCrew, conclude: Conclude
) -> None:
    """Overwrites the image right before and right after each call. The call is then retried."""
    uploads, crew = make_crew(size=1, attempts=3, workers=2)
    points = [(step, when) for step in STEPS if step.has_key for when in ("before", "after")]
    for step, when in points:
        overwrite_at(image_aws, crew, uploads, step, when)
    found = conclude("overwritten right before and right after each call", uploads, crew)
    assert found.counts[Outcome.LABELLED] >= len(points)


def overwrite_at(image_aws: ImageAws, crew: Crew, uploads: Uploads, step: Step, when: str) -> None:
    """Delay a call, and overwrite the image meanwhile."""
    victim = f"{step.name.replace(' ', '-')}-{when}"
    image_aws.control("faults", "PUT", [step.fault(victim, when=when, delay=1.5, status=503)])
    uploads.put(f"{victim}.jpg", NAMES[0])
    crew.fill()
    wait_until(lambda: not image_aws.control("faults"), 30, victim, every=0.05)
    uploads.put(f"{victim}.jpg", NAMES[1])
    crew.done["overwritten"] += 1


def test_the_deadline_passes_in_the_middle_of_each_of_several_runs(make_crew: MakeCrew, conclude: Conclude) -> None:
    uploads, crew = make_crew(size=2)
    upload(uploads)
    for _ in range(3):
        crew.fill(seconds=1)
        crew.leave()
        crew.done["deadline"] += 1
        assert uploads.place.depth()[1] == 0
        half_way = audit(uploads.place, uploads.versions, over=False)
        assert not half_way.problems, half_way.problems
    assert half_way.counts[Outcome.PENDING]
    conclude("the deadline comes while images are left", uploads, crew)


def test_the_queue_takes_messages_away(make_crew: MakeCrew, conclude: Conclude) -> None:
    uploads, crew = make_crew(max_receive_count=1)
    random = Random(1)  # noqa: S311
    upload(uploads)
    for _ in range(4):
        crew.fill()
        time.sleep(1.5)
        crew.kill_one(random)
    found = conclude("the redrive policy moves a message after one receive", uploads, crew)
    assert found.counts[Outcome.DEAD]
