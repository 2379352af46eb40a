"""Seconds that starting, stopping and watching a model wait. Operators and sensors have them as `waits`."""

from __future__ import annotations

from dataclasses import dataclass

from label_detection_core.model.at_work import IDLE


@dataclass(frozen=True)
class Waits:
    """The seconds of a real service. Tests use shorter ones.

    :param lag: after a request, Describe may still return the state from before it for this long. AWS documents no
        limit. A start takes minutes, so waiting this long adds no cost.
    :param look: between two Describe calls while the state may be old.
    :param on: between two Describe calls for a model that is to go off, while it is on.
    :param off: the same while it is off.
    :param linger: a model that was found off is watched for this long. A start that was killed on its way arrives
        within 3 to 4 seconds.
    :param patience: nothing but throttling, 5xx and lost connections for this long fails a stop. The teardown's six
        tries bear this for about twelve minutes together; then the watchdog continues.
    :param stuck: a run without an active task is watched for this long before the watchdog gives it up.
    :param stuck_look: between two looks at the tasks of such a run.
    :param each_stop: the watchdog leaves a model that is not off after this long to its next run, because it must look
        at the others too.
    """

    lag: float = 60.0
    look: float = 1.0
    on: float = 3.0
    off: float = 1.0
    linger: float = 15.0
    patience: float = 120.0
    stuck: float = IDLE.total_seconds()
    stuck_look: float = 5.0
    each_stop: float = 480.0
