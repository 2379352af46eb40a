"""How a run labels: the options of confidence, time, inference units and tasks."""

from __future__ import annotations

from pydantic import BaseModel, Field

from label_detection_core.config.option_types import CeleryQueue, ClassNames, Confidence, PoolName
from label_detection_core.config.options.number import FOR_ONE_RUN, number


class LabellingOptions(BaseModel):
    """Options that say which labels a run keeps, how long its model may be on, and how many units and tasks it uses."""

    min_confidence: Confidence = Field(
        70,
        validate_default=True,
        description="The lowest confidence of a label that is kept, 0-100. `model`: the model's own thresholds",
        json_schema_extra=FOR_ONE_RUN,
    )
    class_names: ClassNames = Field(
        (),
        description="The class names, from class 0 on, for a model that answers with class numbers: names with commas "
        "between them, a JSON list, or the model's `id2label`",
    )
    max_model_minutes: float = number(
        60,
        "Minutes from the start request until the tasks stop receiving messages. Remaining messages wait "
        "for the next run",
        ge=0.01,
        le=720,
        run=True,
    )
    target_minutes: float = number(
        30,
        "In how many minutes the running model should label the backlog. For a larger backlog, the plan "
        "asks for more units",
        ge=0.01,
        le=720,
        run=True,
    )
    min_inference_units: int = number(1, "The fewest inference units that a run asks for", ge=1, le=100, run=True)
    max_inference_units: int = number(
        1,
        "The most inference units that a run asks for; the plan chooses by the backlog. If set, AWS may "
        "add units up to this number",
        ge=1,
        le=100,
        run=True,
    )
    images_per_second_per_unit: float = number(
        5,
        "Expected pictures per second of one inference unit. The tasks start at this rate and adjust it",
        ge=0.1,
        le=1000,
        run=True,
    )
    max_tasks: int = number(4, "The most parallel `analyse_images` tasks of a run", ge=1, le=100, run=True)
    analysis_pool: PoolName | None = Field(
        None, description="The Airflow pool of the `analyse_images` tasks; it must exist. Empty: `default_pool`"
    )
    analysis_queue: CeleryQueue | None = Field(
        None, description="The Celery queue of the `analyse_images` tasks. Empty: Airflow's default queue"
    )
    control_queue: CeleryQueue | None = Field(
        None,
        description="The Celery queue of the tasks that start and stop the model, and of the watchdog. A worker must "
        "serve it. Empty: Airflow's default queue",
    )
