"""What follows a failure of a picture, a run or a stop: the options."""

from __future__ import annotations

from pydantic import BaseModel, Field

from label_detection_core.config.option_types import RoleArn
from label_detection_core.config.options.number import number


class FailureOptions(BaseModel):
    """Options that say what follows when something fails: a picture, a run, or the stop of the model."""

    max_receives: int = number(
        5,
        "On which delivery a picture that the model fails at is rejected, if the model still labels another picture",
        ge=1,
        le=1000,
        run=True,
    )
    pause_after_failed_runs: int = number(
        5,
        "After how many failed runs in a row the DAG is paused. Runs that found no images do not count. 0: never",
        ge=0,
        le=1000,
    )
    watchdog_grace_minutes: float = number(
        15,
        "How many minutes a run may take to end after `max_model_minutes`. Then the watchdog and the dead "
        "man's switch stop the model",
        ge=0,
        le=1440,
    )
    dead_man_switch_role_arn: RoleArn | None = Field(
        None,
        description="The ARN of the role with which EventBridge Scheduler stops a model that a run left on (the dead "
        "man's switch). Empty: no switch",
    )
