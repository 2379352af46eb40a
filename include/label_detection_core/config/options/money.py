"""What a model costs and may cost: the options."""

from __future__ import annotations

from pydantic import BaseModel, Field

from label_detection_core.config.option_types import Budget
from label_detection_core.config.options.number import FOR_ONE_RUN


class MoneyOptions(BaseModel):
    """The price of a model, and the budget."""

    price_per_unit_hour: float = Field(
        4.00,
        ge=0,
        allow_inf_nan=False,
        description="The price of one inference unit for one hour in USD, for the report and the budget",
        json_schema_extra=FOR_ONE_RUN,
    )
    max_cost_per_day: Budget | None = Field(
        None,
        description="How many USD models may cost per day; then nothing is started, and pictures stay queued. In the "
        "section it limits the sum of all pipelines, in a pipeline's own options that pipeline. Empty: no limit",
    )
    max_cost_per_month: Budget | None = Field(
        None, description="The same as `max_cost_per_day` per calendar month. Empty: no limit"
    )
