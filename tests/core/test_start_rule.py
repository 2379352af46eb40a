"""When waiting messages are worth a start of the model."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from label_detection_core.run.start_rule import StartRule, Waiting, waiting_name

NOW = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)
URL = "https://sqs.eu-west-1.amazonaws.com/123456789012/images"


@pytest.mark.parametrize(
    ("rule", "visible", "waited_minutes", "starts"),
    [
        pytest.param((1, 0), 1, None, True, id="the default, one message"),
        pytest.param((1, 0), 0, None, False, id="the default, none"),
        pytest.param((200, 0), 199, None, False, id="too few"),
        pytest.param((200, 0), 200, None, True, id="just enough"),
        pytest.param((200, 0), 199, 100_000, False, id="too few, without a time"),
        pytest.param((200, 240), 1, 239, False, id="too few, and not yet long enough"),
        pytest.param((200, 240), 1, 240, True, id="too few, but long enough"),
        pytest.param((200, 240), 1, None, False, id="too few, first seen now"),
        pytest.param((200, 240), 200, None, True, id="enough, first seen now"),
        pytest.param((200, 240), 0, 240, False, id="nothing waits any more"),
    ],
)
def test_messages_start_the_model_by_their_number_or_their_time(
    rule: tuple[int, float], visible: int, waited_minutes: float | None, starts: bool
) -> None:
    since = None if waited_minutes is None else NOW - timedelta(minutes=waited_minutes)
    assert StartRule(*rule).is_met(visible, since, NOW) is starts


@pytest.mark.parametrize(
    ("looks", "since"),
    [
        pytest.param([0], None, id="nothing"),
        pytest.param([3], 0, id="the first look"),
        pytest.param([3, 5, 1], 0, id="over several looks"),
        pytest.param([3, 0, 5], 0, id="one empty look may be a count that lags"),
        pytest.param([3, 0, 5, 0, 5], 0, id="single empty looks"),
        pytest.param([3, 0, 0, 5], 3, id="two empty looks end the wait"),
        pytest.param([3, 0, 0], None, id="empty"),
    ],
)
def test_the_time_counts_from_the_first_look_that_saw_messages(looks: list[int], since: int | None) -> None:
    remembered = None
    for minute, visible in enumerate(looks):
        remembered = Waiting.after_look(remembered, visible, NOW + timedelta(minutes=minute))
        if remembered:
            remembered = Waiting.parse(remembered.model_dump_json().encode())
    assert (remembered.since if remembered else None) == (None if since is None else NOW + timedelta(minutes=since))


def test_the_text_says_what_waits_what_starts_the_model_and_how_to_start_it_now() -> None:
    assert StartRule(200, 240).why_not(3, NOW) == (
        "3 messages are waiting, since 2026-11-28 12:00 UTC: the model starts at 200 or when messages have waited for "
        "240 minutes; to start it now, trigger a run with start_at_images 1"
    )
    assert StartRule(200, 0).why_not(3, None).startswith("3 messages are waiting: the model starts at 200; ")


@pytest.mark.parametrize(
    "url", [URL, URL.replace("eu-west-1", "us-east-1"), f"{URL}-2", f"{URL}.fifo", f"{URL[:-6]}{'q' * 80}"]
)
def test_each_queue_has_a_variable_of_its_own(url: str) -> None:
    name = waiting_name(url)
    assert len(name) <= 250
    assert (name == waiting_name(URL)) is (url == URL)
