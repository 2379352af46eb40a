"""Decides whether the waiting messages are worth a start of the model, and remembers since when messages wait."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Self

from pydantic import AwareDatetime

from label_detection_core.config.settings import Settings
from label_detection_core.stored import Stored

#: The prefix of the Airflow Variables that remember since when messages wait. One per queue.
WAITING_PREFIX = "label_detection_waiting."
#: The prefix of the Airflow Variables that remember until when a watcher starts no further run. One per queue.
QUIET_PREFIX = "label_detection_quiet."
#: A rule that keeps holding starts a run again after this time, if no run had the model meanwhile.
_AGAIN = timedelta(hours=1)
#: After a run, the counts of SQS may show messages that it took. AWS: they are right within a minute.
_SETTLE = timedelta(minutes=2)


class Waiting(Stored):
    """Since when the runs have seen messages wait in a queue, as it is kept between runs.

    :param since: the first look that saw messages.
    :param looked_empty: whether the last look saw none. One such look proves nothing, because SQS's counts lag.
    """

    since: AwareDatetime
    looked_empty: bool = False

    @classmethod
    def after_look(cls, before: Self | None, visible: int, now: datetime) -> Self | None:
        """Return what is remembered after a look at the queue; None: nothing waits.

        :param before: what was remembered before it.
        :param visible: the messages that it saw.
        """
        if visible:
            return cls(since=before.since if before else now)
        return None if before is None or before.looked_empty else cls(since=before.since, looked_empty=True)


@dataclass(frozen=True)
class StartRule:
    """A run starts the model when `images` messages wait, or when messages have waited for `minutes` (0: no limit)."""

    images: int
    minutes: float

    @classmethod
    def of(cls, settings: Settings) -> StartRule:
        """Return the rule of a run."""
        return cls(settings.start_at_images, settings.start_at_minutes)

    def is_met(self, visible: int, since: datetime | None, now: datetime) -> bool:
        """Whether to start the model.

        :param visible: the messages that wait.
        :param since: since when messages have been seen to wait; None if that is not known.
        """
        if not visible:
            return False
        return visible >= self.images or self._has_waited(since, now)

    def why_not(self, visible: int, since: datetime | None) -> str:
        """Return why the waiting messages do not start the model, as text for people."""
        later = f" or when messages have waited for {self.minutes:g} minutes" if self.minutes else ""
        waited = f", since {since:%Y-%m-%d %H:%M} UTC" if since and self.minutes else ""
        never = "" if self.minutes else "; set start_at_minutes so that they do not wait until the queue drops them"
        return (
            f"{visible} messages are waiting{waited}: the model starts at {self.images}{later}; "
            f"to start it now, trigger a run with start_at_images 1{never}"
        )

    def _has_waited(self, since: datetime | None, now: datetime) -> bool:
        return bool(self.minutes) and since is not None and now - since >= timedelta(minutes=self.minutes)


def waiting_name(queue_url: str) -> str:
    """Return the name of the Variable that remembers since when messages wait in a queue."""
    digest = hashlib.sha256(queue_url.encode()).hexdigest()[:16]
    return f"{WAITING_PREFIX}{queue_url.rsplit('/', 1)[-1]}.{digest}"


class Quiet(Stored):
    """Until when a watcher of a queue starts no further run, as it is kept over restarts.

    :param until: when it may start a run again although the rule has held since.
    :param looked_unmet: whether the last look found the rule not met. One such look proves nothing: counts lag.
    """

    until: AwareDatetime
    looked_unmet: bool = False

    @classmethod
    def after_look(cls, before: Self | None, is_met: bool, is_held: bool, now: datetime) -> tuple[bool, Self | None]:
        """Return whether to start a run now, and what is remembered; None: the next time the rule holds starts a run.

        A rule that keeps holding starts one run, and another one only after a run had the model, or after an hour: the
        first may have failed.

        :param is_held: whether a run has the model: it takes the messages.
        """
        if is_held:
            is_fresh = before is not None and now + _SETTLE / 2 < before.until <= now + _SETTLE
            return False, before if is_fresh else cls(until=now + _SETTLE)  # not written with each look
        if not is_met:
            is_over = before is None or before.looked_unmet
            return False, None if is_over or before is None else cls(until=before.until, looked_unmet=True)
        if before is None or now >= before.until:
            return True, cls(until=now + _AGAIN)
        return False, cls(until=before.until)


def quiet_name(queue_url: str) -> str:
    """Return the name of the Variable that remembers until when a queue's watcher starts no further run."""
    return waiting_name(queue_url).replace(WAITING_PREFIX, QUIET_PREFIX, 1)
