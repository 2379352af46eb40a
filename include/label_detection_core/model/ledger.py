"""The ledger of a model: when it was on for which run, and at which price. One JSON value per model.

The run adds an entry before it starts the model. Whoever ends the lease, the run or the watchdog, adds the end to it.
The begin of the lease identifies the entry, so a lease that is ended twice counts once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from itertools import zip_longest
from typing import Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from label_detection_core.model.lease import Lease, variable_name

#: The prefix of the Airflow Variables that keep ledgers.
LEDGER_PREFIX = "label_detection_ledger."
#: Entries are kept for at least the longest month, and a day for the time zones.
_KEPT = timedelta(days=33)


class Entry(BaseModel):
    """The use of a model by one run, from the start request until the model was off."""

    model_config = ConfigDict(frozen=True)

    dag_id: str = Field(description="id of the DAG")
    run_id: str = Field(description="id of the DAG run")
    since: AwareDatetime = Field(description="when the lease began, just before the start request")
    until: AwareDatetime = Field(
        description="when the lease expires; without an end, the entry costs at most until then"
    )
    expected_until: AwareDatetime | None = Field(
        default=None, description="when the plan expects the model to be off; null: not known"
    )
    ended_at: AwareDatetime | None = Field(
        default=None, description="when the model was off; the same as `since`: it was never on; null: not known yet"
    )
    units: int = Field(description="inference units")
    price_per_unit_hour: float = Field(ge=0, description="USD for one inference unit and hour, as it was at the start")

    @classmethod
    def of_lease(cls, lease: Lease, price_per_unit_hour: float) -> Self:
        """Return the entry of a lease that began now, or whose begin an earlier version did not write."""
        return cls(
            dag_id=lease.dag_id,
            run_id=lease.run_id,
            since=lease.since,
            until=lease.until,
            units=lease.units,
            price_per_unit_hour=price_per_unit_hour,
        )

    def usd(self, begin: datetime, end: datetime) -> float:
        """Return the cost of the time from `begin` to `end`; 0 if there is none."""
        return max((end - begin).total_seconds(), 0.0) / 3600 * self.units * self.price_per_unit_hour


class Cost(BaseModel):
    """USD of a time: `spent` until now, and `set_aside` for models that are on, until they are expected to be off."""

    model_config = ConfigDict(frozen=True)

    spent: float = 0.0
    set_aside: float = 0.0


class Ledger(BaseModel):
    """The entries of one model, oldest first. A model is on only once: an entry without an end ends at the next one."""

    model_config = ConfigDict(frozen=True)

    entries: tuple[Entry, ...] = ()

    def begun(self, entry: Entry) -> Self:
        """Return the ledger with an entry that begins. An entry of the same lease is replaced, but keeps its end."""
        return self._with(entry.model_copy(update={"ended_at": self._end_of(entry.since)}))

    def ended(self, lease: Lease, at: datetime, make: Callable[[], Entry], *, was_on: bool) -> Self:
        """Return the ledger with the end of a lease.

        :param at: when the model was off. If an entry has two ends, the later one counts.
        :param make: returns the entry, if an earlier version of this package wrote none.
        :param was_on: False: the model was found off, so an end that is known already counts.
        """
        known = self._end_of(lease.since)
        if known and not was_on:
            return self
        entry = next((one for one in self.entries if one.since == lease.since), None) or make()
        return self._with(entry.model_copy(update={"ended_at": max(at, known or at)}))

    def cost(self, begin: datetime, end: datetime, now: datetime, dag_id: str | None = None) -> Cost:
        """Return the cost of the time from `begin` to `end`; only of the runs of a DAG, if one is given."""
        spent = aside = 0.0
        for entry, following in zip_longest(self.entries, self.entries[1:]):
            if dag_id not in {None, entry.dag_id}:
                continue
            replaced = following.since if following else end
            off = min(entry.ended_at or min(now, entry.until), replaced)
            spent += entry.usd(max(entry.since, begin), min(off, end))
            if entry.ended_at is None and entry.expected_until:
                aside += entry.usd(max(off, begin), min(entry.expected_until, replaced, end))
        return Cost(spent=spent, set_aside=aside)

    def _end_of(self, since: datetime) -> datetime | None:
        return next((entry.ended_at for entry in self.entries if entry.since == since), None)

    def _with(self, entry: Entry) -> Self:
        others = [one for one in self.entries if one.since != entry.since and one.since > entry.since - _KEPT]
        return self.model_copy(update={"entries": tuple(sorted([*others, entry], key=lambda one: one.since))})


class Notified(BaseModel):
    """The used-up budgets that a notice was sent for: budget → the day or month, and the limit."""

    model_config = ConfigDict(frozen=True)

    notified: dict[str, str] = {}


def ledger_of(name: str, text: str | None) -> Ledger:
    """Read the ledger in the Variable `name`; None: an empty one. :raises ValueError: when the text is not a ledger."""
    try:
        return Ledger.model_validate_json(text) if text else Ledger()
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise ValueError(
            f"the variable {name} is not a ledger of costs: {where} {first['msg']}; correct it, or delete it: then "
            "earlier costs of this model do not count".replace("  ", " ")
        ) from None


def total(ledgers: Iterable[Ledger], begin: datetime, end: datetime, now: datetime, dag_id: str | None = None) -> Cost:
    """Return the cost of several models; see `Ledger.cost`."""
    costs = [ledger.cost(begin, end, now, dag_id) for ledger in ledgers]
    return Cost(spent=sum(cost.spent for cost in costs), set_aside=sum(cost.set_aside for cost in costs))


def ledger_name(model_arn: str) -> str:
    """Return the name of the Variable that keeps the ledger of a model."""
    return variable_name(LEDGER_PREFIX, model_arn)
