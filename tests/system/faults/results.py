"""The measurements: a row for each fault, stored as JSON lines, printed as a table, and written into the docs.

`python -m tests.system.faults.results` writes the stored rows into `docs/faults.md`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.system.faults import kept_rows

RESULTS = kept_rows.FOLDER / "faults.jsonl"
BEGIN = "<!-- measured: written by make faults -->"
END = "<!-- end of measured -->"
_COLUMNS = ("fault", "layer", "bound", "counted from", "measured", "from the fault", "images")


class Layer(Enum):
    """A layer that switches the model off, and the seconds that it may take from the moment its clock starts."""

    TEARDOWN = "teardown", 30.0
    DEADLINE = "deadline and teardown", 30.0
    WATCHDOG = "watchdog", 30.0  # from the watchdog's tick, every 10 minutes
    TRIGGERER = "triggerer", 120.0  # from the end of the lease, without a worker
    SWITCH = "dead man's switch", 60.0
    NEVER_ON = "none: it stays off", 0.0

    def __init__(self, words: str, bound: float) -> None:
        self.words = words
        self.bound = bound


@dataclass(frozen=True)
class FaultResult:
    """A fault and its effect; times in seconds. `clock`: description of the moment from which the bound is counted."""

    fault: str
    layer: str
    bound: float
    clock: str
    off_after: float  # from the start of the clock
    off_after_fault: float
    images: str

    @property
    def is_kept(self) -> bool:
        """Whether the model went off within the bound."""
        return self.off_after <= self.bound

    def cells(self) -> tuple[str, ...]:
        """The row's cells, as text."""
        times = (_seconds(self.off_after), _seconds(self.off_after_fault))
        return self.fault, self.layer, f"{self.bound:.0f} s", self.clock, *times, self.images


def _seconds(value: float) -> str:
    return f"{value:.1f} s" if value else "off already"


#: The rows of this session.
MEASURED: list[FaultResult] = []


def add(row: FaultResult) -> None:
    """Store a row. It replaces the stored row of the same fault."""
    MEASURED.append(row)
    kept_rows.add(RESULTS, row)


def read() -> list[FaultResult]:
    """The stored rows."""
    return [FaultResult(**row) for row in kept_rows.read(RESULTS)]


def show(found: list[FaultResult]) -> None:
    """Print the table."""
    table = Table(*_COLUMNS, title="How soon the model is off", title_justify="left")
    for row in found:
        table.add_row(*row.cells(), style=None if row.is_kept else "red")
    Console(width=200).print(table)


def markdown(found: list[FaultResult]) -> str:
    """The table for the docs, ordered by layer."""
    layers = [layer.words for layer in Layer]
    ordered = sorted(found, key=lambda row: layers.index(row.layer))
    return kept_rows.markdown(_COLUMNS, [row.cells() for row in ordered])


def write_docs(found: list[FaultResult], docs: Path = kept_rows.DOCS) -> None:
    """Write the table into the docs; it replaces the old one."""
    kept_rows.write(docs, BEGIN, END, markdown(found))


if __name__ == "__main__":
    write_docs(read())
