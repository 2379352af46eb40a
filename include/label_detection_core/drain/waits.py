"""Seconds that a drain waits, at trouble and at the end of the queue."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Waits:
    """The seconds of a real service. Tests use shorter ones.

    :param trouble: transient SQS errors are retried for this long. The loop waits between tries, not the client, so
        that a stop can interrupt the wait.
    :param returned: if only returned messages are left, the model keeps running for this long after the last outcome of
        another message. With the last polls and the stop request, this is about a minute.
    :param others: at the end of the queue, for lines of other tasks in the journal. A task writes its lines every 10 s.
    """

    trouble: float = 120.0
    returned: float = 55.0
    others: float = 12.0
