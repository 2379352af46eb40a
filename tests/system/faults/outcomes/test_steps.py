"""Each single call for an image: the consumer is killed during it, and the call fails in every possible way."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from sandbox.waiting import wait_until
from tests.system.faults.kind import calls
from tests.system.faults.outcomes.audit import Outcome, Uploads, audit
from tests.system.faults.outcomes.conftest import Conclude, MakeCrew
from tests.system.faults.outcomes.crew import Crew
from tests.system.faults.outcomes.place import ImageAws
from tests.system.faults.outcomes.sample_pictures import scenes

OTHERS = 16
NAMES = list(scenes())
#: The ways in which a call fails, tried in this order.
WAYS_TO_FAIL: dict[str, dict[str, Any]] = {
    "503": {"status": 503, "code": "SlowDown"},
    "500": {"status": 500, "code": "InternalError"},
    "timeout": {"status": 503, "delay": 4},
    "reset": {"reset": True},
}


@dataclass(frozen=True)
class Step:
    """A call: service and operation. `refused`: the call in its place for a rejected image, if another."""

    name: str
    service: str
    operation: str
    refused: tuple[str, str] | None = None
    has_key: bool = True
    mark: str = ""  # a suffix of the victim's name, where the fault must not hit its upload

    def fault(self, victim: str, **fault: Any) -> dict[str, Any]:
        """A fault in this step, for one image."""
        usual = (self.service, self.operation)
        service, operation = self.refused if self.refused and victim.startswith("bad") else usual
        of_image = {"key": victim + self.mark} if self.has_key else {}
        return {"service": service, "operation": operation, "times": 1, **of_image, **fault}


_READ = ("s3", "GetObject")
STEPS = [
    Step("receive", "sqs", "ReceiveMessage", has_key=False),
    *([Step("read", *_READ, mark=".jpg")] if calls().is_sent_bytes else []),
    Step("detect", calls().service, calls().operations["detect"], refused=_READ if calls().is_sent_bytes else None),
    Step("copy", "s3", "CopyObject"),
    Step("document", "s3", "PutObject", mark="-"),
    Step("delete source", "s3", "DeleteObject"),
    Step("look for the other outcome", "s3", "HeadObject", refused=_READ),
    Step("delete message", "sqs", "DeleteMessageBatch", has_key=False),
]


def upload(uploads: Uploads, victims: list[str], others: int = OTHERS) -> None:
    """Upload pictures and texts, the victims first. `victims`: their keys without suffix."""
    for victim in victims:
        uploads.put(f"{victim}.jpg", None if victim.startswith("bad") else NAMES[0])
    for number in range(others):
        uploads.put(f"other {number}.jpg", NAMES[number % len(NAMES)])


def is_held(image_aws: ImageAws, crew: Crew) -> bool:
    """Whether the call that the only fault delays has arrived.

    Keeps a consumer running: one ends when it finds no message, for instance because a killed consumer still holds it.
    """
    crew.fill()
    return not image_aws.control("faults")


OF_MODEL = [pytest.param(step, marks=[pytest.mark.model] * (step.name in {"read", "detect"})) for step in STEPS]


@pytest.mark.parametrize("when", ["before", pytest.param("after", marks=pytest.mark.gate)])
@pytest.mark.parametrize("step", OF_MODEL, ids=lambda step: step.name)
def test_killed_in_it(image_aws: ImageAws, make_crew: MakeCrew, conclude: Conclude, step: Step, when: str) -> None:
    uploads, crew = make_crew(size=1)
    upload(uploads, [])
    for victim in ("good-victim", "bad-victim"):
        image_aws.control("faults", "PUT", [step.fault(victim, when=when, delay=60)])
        upload(uploads, [victim], others=0)
        wait_until(partial(is_held, image_aws, crew), 30, f"{step.name} of {victim}", every=0.05)
        crew.kill_all()
    half_way = audit(uploads.place, uploads.versions, over=False)
    assert not half_way.problems, half_way.problems
    found = conclude(f"killed right {when} {step.name}", uploads, crew)
    assert found.counts == {Outcome.LABELLED: OTHERS + 1, Outcome.REJECTED: 1}


@pytest.mark.gate
@pytest.mark.parametrize("step", OF_MODEL, ids=lambda step: step.name)
def test_it_fails(image_aws: ImageAws, make_crew: MakeCrew, conclude: Conclude, step: Step) -> None:
    """Fails the call for a picture and for a text in every way, before and after it is carried out."""
    uploads, crew = make_crew(size=2, model_attempts=1)
    ways = {f"{way}-{when}": how | {"when": when} for way, how in WAYS_TO_FAIL.items() for when in ("before", "after")}
    victims = {f"{kind}-{way}": how for kind in ("good", "bad") for way, how in ways.items()}
    upload(uploads, list(victims))
    faults = [step.fault(victim, **how) for victim, how in victims.items()]
    image_aws.control("faults", "PUT", faults)
    crew.fill()
    crew.leave()
    crew.done["failed call"] = len(faults) - len(image_aws.control("faults"))
    assert crew.done["failed call"] >= (len(faults) if step.has_key else 4)
    found = conclude(f"{step.name} fails: {', '.join(WAYS_TO_FAIL)}", uploads, crew)
    assert found.counts == {Outcome.LABELLED: OTHERS + len(faults) // 2, Outcome.REJECTED: len(faults) // 2}
