"""All faults at once, at random, from a seed: consumers killed and paused, calls failing, duplicates, overwrites.

The consumers are separate processes on the embedded AWS, without Airflow: see `consumer`. The seeds: see `seeds`.
"""

from __future__ import annotations

import os
import time
from random import Random

import pytest

from tests.seed import SEED, VARIABLE
from tests.system.faults.outcomes.audit import Outcome, Uploads, audit
from tests.system.faults.outcomes.conftest import Conclude, MakeCrew
from tests.system.faults.outcomes.consumer import FICKLE
from tests.system.faults.outcomes.crew import Crew
from tests.system.faults.outcomes.place import ImageAws, random_faults
from tests.system.faults.outcomes.sample_pictures import scenes
from tests.system.faults.outcomes.seeds import FIRST_SEED, SEED_COUNT, seeds

IMAGES = 150
CHAOS_SECONDS = 25


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    metafunc.parametrize("seed", seeds(os.environ, is_whole_suite=metafunc.config.option.markexpr == "faults"))


@pytest.mark.gate
def test_every_version_has_one_outcome_under_random_faults(
    image_aws: ImageAws, make_crew: MakeCrew, conclude: Conclude, seed: int
) -> None:
    print(f"again: {FIRST_SEED}={seed} {SEED_COUNT}=1 {VARIABLE}={SEED}")  # noqa: T201
    random = Random(seed)  # noqa: S311
    uploads, crew = make_crew()
    upload(uploads, random)
    image_aws.control("faults", "PUT", random_faults(seed * 1000))
    disturb(crew, uploads, random)
    image_aws.control("faults", "DELETE")
    crew.kill_all()
    half_way = audit(uploads.place, uploads.versions, over=False)
    assert not half_way.problems, half_way.problems
    conclude(f"random faults, seed {seed}", uploads, crew)


def upload(uploads: Uploads, random: Random) -> None:
    """Upload good pictures, some that the model always refuses and some that it often refuses; repeat some events."""
    names = list(scenes())
    for number in range(IMAGES):
        draw = random.random()
        if draw < 0.05:
            version = uploads.put(f"bad/{number}.jpg", None)
        elif draw < 0.1:
            either = (Outcome.LABELLED, Outcome.REJECTED)
            version = uploads.put(f"{FICKLE}/{number}.jpg", random.choice(names), *either)
        else:
            version = uploads.put(f"line 3/{number}+é.jpg", random.choice(names))
        for _ in range(random.choice((0, 0, 0, 0, 1, 1, 2))):
            uploads.announce_again(version)


def disturb(crew: Crew, uploads: Uploads, random: Random) -> None:
    """Kill, pause and continue consumers, and overwrite images, for some time."""
    until = time.monotonic() + CHAOS_SECONDS
    names = list(scenes())
    while time.monotonic() < until:
        crew.fill(seconds=random.choice((3, 60)))
        time.sleep(random.uniform(0.02, 0.6))
        act = random.random()
        if act < 0.5:
            crew.kill_one(random)
        elif act < 0.6:
            crew.stop_one(random)
        elif act < 0.9:
            old = random.choice([version for version in uploads.versions if version.scene])
            uploads.put(old.key, random.choice(names), *old.may)
            crew.done["overwritten"] += 1
        crew.wake()
