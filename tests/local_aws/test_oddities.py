"""The oddity settings: those that are on at the start, how to change them, and reproducible draws from a seed."""

from pathlib import Path
from typing import Any

import pytest
import requests

from local_aws.oddities import PRESETS, Oddities, OdditiesInForce, changed
from tests.local_aws.conftest import Aws, running

OFF = {
    "count_age": [0, 0],
    "short_poll_share": 1,
    "duplicate_share": 0,
    "conditions": "obeyed",
    "ready_lag": 0,
    "describe_lag": 0,
    "unreadable_buckets": [],
}
ALL = OFF | {
    "count_age": [1, 5],
    "short_poll_share": 0.5,
    "duplicate_share": 0.01,
    "ready_lag": 1,
    "describe_lag": 1,
}


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        pytest.param([], ALL, id="all by default"),
        pytest.param(["--oddities", "quick"], OFF | {"short_poll_share": 0.5, "duplicate_share": 0.01}, id="quick"),
        pytest.param(["--oddities", "none"], OFF, id="none"),
        pytest.param(["--oddities", "none", "--ready-lag", "2"], OFF | {"ready_lag": 2}, id="one beside a preset"),
        pytest.param(
            ["--count-age", "60", "--seed", "7"], ALL | {"count_age": [60, 60], "seed": 7}, id="seed, one age"
        ),
        pytest.param(
            ["--unreadable-buckets", "a,b", "--conditions", "ignored"],
            ALL | {"unreadable_buckets": ["a", "b"], "conditions": "ignored"},
            id="buckets and conditions",
        ),
    ],
)
def test_active_oddities_are_on_the_control_page_and_in_the_log(
    tmp_path: Path, options: list[str], wanted: dict[str, Any]
) -> None:
    with running(tmp_path, *options, "--models-only") as aws:
        page = aws.control("oddities")
        words, seed = page.pop("on"), page["seed"]
        assert page == wanted | {"seed": wanted.get("seed", seed)}
        log = (tmp_path / "aws.log").read_text()
        assert f"oddities (seed {seed}): {'; '.join(words) or 'none'}\n" in log


def test_every_oddity_has_its_description() -> None:
    on = {
        "count_age": 60,
        "short_poll_share": 0,
        "duplicate_share": 1,
        "conditions": "refused",
        "ready_lag": 1,
        "describe_lag": 1,
        "unreadable_buckets": ["a"],
    }
    assert set(on) == set(Oddities.model_fields) - {"seed"}
    assert [len(changed(Oddities(), {name: value}).words()) for name, value in on.items()] == [1] * len(on)
    assert Oddities().words() == []


def test_a_change_leaves_the_other_knobs_and_delete_goes_back_to_the_start(aws: Aws) -> None:
    start = aws.control("oddities")
    page = aws.control("oddities", "PUT", {"duplicate_share": 1})
    assert page | {"duplicate_share": start["duplicate_share"], "on": start["on"]} == start
    assert "100% of the messages are delivered twice" in page["on"]
    assert aws.control("oddities", "DELETE") == start == aws.control("oddities")


@pytest.mark.parametrize(
    ("body", "named"),
    [
        pytest.param({"speed": 1}, "speed", id="no such knob"),
        pytest.param({"duplicate_share": 2}, "duplicate_share", id="more than all"),
        pytest.param({"count_age": [1, 2, 3]}, "count_age", id="three ages"),
        pytest.param({"conditions": "maybe"}, "conditions", id="no such mode"),
        pytest.param({"ready_lag": "soon"}, "ready_lag", id="no number"),
        pytest.param([], "JSON object", id="no object"),
    ],
)
def test_a_wrong_knob_is_refused_by_name_and_changes_nothing(aws: Aws, body: Any, named: str) -> None:
    start = aws.control("oddities")
    answer = requests.put(f"{aws.endpoint}/_local/oddities", json=body, timeout=10)
    assert answer.status_code == 400
    assert named in answer.json()["error"]
    assert aws.control("oddities") == start


def test_a_seed_reproduces_its_draws_and_each_oddity_draws_by_itself() -> None:
    def draws(*others: str, seed: int = 7) -> list[float]:
        oddities = OdditiesInForce(changed(PRESETS["all"], {"seed": seed}))
        for other in others:
            oddities.draw(other)
        return [oddities.draw("duplicate") for _ in range(5)]

    assert draws() == draws() == draws("short_poll", "short_poll") != draws(seed=8)
    oddities = OdditiesInForce(changed(PRESETS["all"], {"seed": 7}))
    first = [oddities.draw("duplicate") for _ in range(5)]
    oddities.change({"seed": 7})
    assert [oddities.draw("duplicate") for _ in range(5)] == first
