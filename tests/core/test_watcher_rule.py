"""When the watcher of a queue starts a run: once for a rule that begins to hold, however often it looks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from label_detection_core.run.start_rule import Quiet, quiet_name, waiting_name

NOW = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)
MET, UNMET, HELD = "met", "unmet", "held"


def starts_of(looks: list[tuple[float, str]]) -> list[float]:
    """The minutes at which looks start a run. Between two looks, the triggerer is restarted."""
    found: list[float] = []
    text: bytes | None = None
    for minute, look in looks:
        before = Quiet.parse(text) if text else None
        starts, after = Quiet.after_look(before, look == MET, look == HELD, NOW + timedelta(minutes=minute))
        text = after.model_dump_json().encode() if after else None
        if starts:
            found.append(minute)
    return found


@pytest.mark.parametrize(
    ("looks", "starts"),
    [
        pytest.param([(0, UNMET)], [], id="not met"),
        pytest.param([(0, MET)], [0], id="met"),
        pytest.param([(minute, MET) for minute in range(60)], [0], id="stays true for an hour"),
        pytest.param([(minute, MET) for minute in range(121)], [0, 60, 120], id="no run came of it: again in an hour"),
        pytest.param([(0, MET), (1, UNMET), (2, MET)], [0], id="one low count may be one that lags"),
        pytest.param([(0, MET), (1, UNMET), (2, UNMET), (3, MET)], [0, 3], id="the queue was emptied"),
        pytest.param([(0, MET), *((m, HELD) for m in range(1, 90))], [0], id="a long run takes the messages"),
        pytest.param([(0, MET), (1, HELD), (2, MET)], [0], id="after a run the counts may lag"),
        pytest.param([(0, MET), (1, HELD), (2, MET), (4, MET), (5, MET)], [0, 4], id="a run left messages"),
        pytest.param([(0, HELD), (1, UNMET), (2, UNMET), (9, MET)], [9], id="a run of the schedule"),
    ],
)
def test_a_rule_that_begins_to_hold_starts_one_run(looks: list[tuple[float, str]], starts: list[float]) -> None:
    assert starts_of(looks) == starts


def test_a_long_run_does_not_rewrite_the_memory_with_each_look() -> None:
    _, first = Quiet.after_look(None, False, True, NOW)
    _, second = Quiet.after_look(first, False, True, NOW + timedelta(seconds=10))
    assert first is second


def test_the_watcher_has_a_variable_of_its_own() -> None:
    url = "https://sqs.eu-west-1.amazonaws.com/123456789012/label_detection_waiting."
    assert quiet_name(url) != waiting_name(url)
    assert quiet_name(url).startswith("label_detection_quiet.label_detection_waiting.")
