"""Oddities on a real scheduler: the run is green, and the model is started once."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from tests.system.faults.breaking import BreakablePipeline
from tests.system.faults.images import outcomes
from tests.system.faults.oddities.catalogue import Oddity
from tests.system.faults.oddities.results import add

COUNT = 40
LAG_SECONDS = 8


@pytest.fixture
def odd(pipeline: BreakablePipeline) -> Iterator[BreakablePipeline]:
    """The pipeline; its oddities are the initial ones before and after the test."""
    for page in ("oddities", "objects"):
        pipeline.world.control(page, "DELETE")
    pipeline.exactly_once()
    yield pipeline
    for page in ("oddities", "objects"):
        pipeline.world.control(page, "DELETE")


def run(pipeline: BreakablePipeline) -> tuple[str, str, int, float]:
    """A run's id and state, the number of model starts, and the time of the stop request in seconds since 1970."""
    seen = len(pipeline.history())
    run_id = pipeline.trigger(max_tasks=2)
    state = pipeline.finish(run_id)
    changes = pipeline.history()[seen:]
    starts = [status for status, _ in changes].count("STARTING")
    stop_at = next(at for status, at in reversed(changes) if status == "STOPPING")
    return run_id, state, starts, stop_at


def labelled_at(pipeline: BreakablePipeline) -> float:
    """When the last label document was written, in seconds since 1970."""
    pages = pipeline.s3.get_paginator("list_objects_v2").paginate(Bucket=pipeline.world.setting("final_bucket"))
    found = [entry for page in pages for entry in page.get("Contents", [])]
    return max(entry["LastModified"].timestamp() for entry in found if entry["Key"].endswith(".png.json"))


def starts_in_words(starts: int) -> str:
    return f"{starts} start" if starts == 1 else f"{starts} starts"


def test_a_refused_object_beside_others_fails_no_run(odd: BreakablePipeline, picture: bytes) -> None:
    (refused,) = odd.upload(1, picture)
    place: Any = {"bucket": odd.world.setting("source_bucket"), "key": refused, "trouble": "denied"}
    odd.world.control("objects", "PUT", [place])
    keys = odd.upload(COUNT, picture)
    run_id, state, starts, stop_at = run(odd)
    found, report = outcomes(odd, keys), odd.report(run_id)["images"]
    add(
        Oddity.REFUSED_IN_A_RUN,
        f"{state}, {starts_in_words(starts)}: {found.labelled} of {COUNT} labelled; the model was on for "
        f"{stop_at - labelled_at(odd):.0f} s "
        "after the last of them; the refused image waits for its fifth delivery",
    )
    assert (state, starts, found.labelled, report["labelled"]) == ("success", 1, COUNT, COUNT)
    assert refused in odd.keys("source_bucket")
    assert odd.status() == "STOPPED"


@pytest.mark.gate
def test_lags_of_the_models_state_fail_no_run(odd: BreakablePipeline, picture: bytes) -> None:
    odd.world.control("oddities", "PUT", {"describe_lag": LAG_SECONDS, "ready_lag": LAG_SECONDS})
    keys = odd.upload(COUNT, picture)
    run_id, state, starts, _ = run(odd)
    found = outcomes(odd, keys)
    tries = max(odd.tries(run_id, task) for task in ("start_model", "wait_for_model", "analyse_images", "stop_model"))
    add(
        Oddity.LAGS_IN_A_RUN,
        f"{state}, {starts_in_words(starts)}: {found.labelled} of {COUNT} labelled, each task in {tries} try",
    )
    assert (state, starts, found.labelled, odd.status()) == ("success", 1, COUNT, "STOPPED")


def test_the_stop_request_follows_the_last_answer_whatever_sqs_counts(odd: BreakablePipeline, picture: bytes) -> None:
    keys = odd.upload(COUNT, picture)
    _, state, _, stop_at = run(odd)
    answered_at = datetime.fromisoformat(odd.world.model()["last_detect_at"]).timestamp()
    found = outcomes(odd, keys)
    add(
        Oddity.STOP_WITH_OLD_COUNTS,
        f"{state}: {found.labelled} of {COUNT} labelled; {stop_at - answered_at:.1f} s from the last answer",
    )
    assert (state, found.labelled) == ("success", COUNT)
