"""When a run begins, and when it starts the model: the options."""

from __future__ import annotations

from pydantic import BaseModel, Field

from label_detection_core.config.option_types import Schedule, TimeZone
from label_detection_core.config.options.number import number


class StartOptions(BaseModel):
    """Options that say when a run begins, and when it starts the model."""

    schedule: Schedule = Field(
        "0 */2 * * *", description="When runs start: a cron expression or an Airflow preset. Empty: only when triggered"
    )
    timezone: TimeZone | None = Field(
        None,
        description="The time zone of `schedule`, of a budget's days and of the digest: an IANA name such as "
        "`Europe/Zurich`",
    )
    paused_upon_creation: bool = Field(
        False, description="Whether new DAGs are paused when Airflow first sees them. The watchdog never is"
    )
    wait_minutes: float = number(
        5, "How many minutes a run waits for messages on an empty queue; then it is skipped", ge=0, le=720, run=True
    )
    start_at_images: int = number(
        1,
        "How many messages must wait before a run starts the model. With fewer, the run is skipped",
        ge=1,
        le=1_000_000,
        run=True,
    )
    start_at_minutes: float = number(
        0,
        "After how many minutes waiting messages start the model even if there are fewer than `start_at_images`. "
        "Without `watch_queue` only runs look, so `schedule` limits how exact this is. 0: never, so that pictures can "
        "wait until the queue drops their messages",
        ge=0,
        le=10_080,
        run=True,
    )
    watch_queue: bool = Field(
        False,
        description="Whether a run also starts when the rule of `start_at_images` and `start_at_minutes` holds, "
        "besides `schedule`. The triggerer then counts the messages every ten seconds. On Airflow 3.2 a run looks "
        "every ten minutes instead",
    )
