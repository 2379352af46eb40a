"""The results: samples by part, and the table's rows, each with its comparison and its bound."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from sandbox.environment import PROJECT

#: The samples of each part, so that one part can be measured again without the others.
SAMPLES = PROJECT / ".bench"
DOCS = PROJECT / "docs"


@dataclass(frozen=True)
class Bound:
    """The limit of a row: its value must be at least or at most `value`."""

    value: float
    at_least: bool

    def keeps(self, value: float) -> bool:
        """Whether a value is within the bound."""
        return value >= self.value if self.at_least else value <= self.value

    def __str__(self) -> str:
        return f"{'at least' if self.at_least else 'at most'} {_number(self.value)}"


def at_least(value: float) -> Bound:
    """A lower bound."""
    return Bound(value, at_least=True)


def at_most(value: float) -> Bound:
    """An upper bound."""
    return Bound(value, at_least=False)


@dataclass(frozen=True)
class Measure:
    """One row of the table: the median and the spread of some runs. `against`: the comparison for the value."""

    part: str
    what: str
    values: tuple[float, ...]
    unit: str
    against: str
    bound: Bound | None = None

    @property
    def median(self) -> float:
        """The median of the values."""
        return statistics.median(self.values)

    @property
    def is_kept(self) -> bool:
        """Whether the median is within the bound; true without a bound."""
        return self.bound is None or self.bound.keeps(self.median)

    def cells(self) -> tuple[str, ...]:
        """The texts of the row's cells, in the order of `COLUMNS`."""
        spread = f"{_number(min(self.values))} to {_number(max(self.values))}" if len(self.values) > 1 else ""
        bound = f"{self.bound}{'' if self.is_kept else ': MISSED'}" if self.bound else ""
        return (
            self.part,
            self.what,
            f"{_number(self.median)} {self.unit}".strip(),
            spread,
            str(len(self.values)),
            bound,
            self.against,
        )


COLUMNS = ("part", "what", "median", "spread", "runs", "bound", "measured against")


def keep(part: str, samples: list[dict[str, Any]]) -> None:
    """Save a part's samples; they replace the earlier ones."""
    SAMPLES.mkdir(exist_ok=True)
    (SAMPLES / f"{part}.json").write_text(json.dumps(samples, indent=1) + "\n")


def kept(part: str) -> list[dict[str, Any]]:
    """The saved samples of a part; empty if it was never measured."""
    path = SAMPLES / f"{part}.json"
    found: list[dict[str, Any]] = json.loads(path.read_text()) if path.exists() else []
    return found


def show(rows: Iterable[Measure]) -> None:
    """Print the table."""
    table = Table(*COLUMNS, show_lines=False)
    for row in rows:
        table.add_row(*row.cells(), style=None if row.is_kept else "red")
    Console(width=200).print(table)


def read(folder: Path = DOCS) -> list[Measure]:
    """The rows of `bench.json`."""
    found = []
    for facts in json.loads((folder / "bench.json").read_text()):
        bound = Bound(**facts["bound"]) if facts["bound"] else None
        names = ("part", "what", "unit", "against")
        found.append(Measure(**{name: facts[name] for name in names}, values=tuple(facts["values"]), bound=bound))
    return found


def merged(measured: Iterable[Measure], before: Iterable[Measure]) -> list[Measure]:
    """The rows of `before`, with those of `measured` instead of older rows of the same part and name."""
    return list({(row.part, row.what): row for row in (*before, *measured)}.values())


def write(rows: Iterable[Measure], folder: Path = DOCS) -> None:
    """Write the table to `bench.json`."""
    facts = [asdict(row) | {"median": row.median, "kept": row.is_kept} for row in rows]
    (folder / "bench.json").write_text(json.dumps(facts, indent=1, ensure_ascii=False) + "\n")


def markdown(rows: Iterable[Measure]) -> str:
    """The table in Markdown."""
    return _markdown(COLUMNS, [row.cells() for row in rows])


def highlights(rows: Iterable[Measure]) -> str:
    """The rows that have a bound, as a short table in Markdown."""
    found = [row for row in rows if row.bound]
    return _markdown(
        ("what", "measured", "bound"), [(f"{row.part}: {row.what}", row.cells()[2], row.cells()[5]) for row in found]
    )


def put_between(document: Path, begin: str, end: str, words: str) -> None:
    """Replace the text between two marker lines of a document."""
    head, rest = document.read_text().split(begin)
    document.write_text(f"{head}{begin}\n{words}\n{end}{rest.split(end)[1]}")


def _markdown(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [columns, ("---",) * len(columns), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |" for cells in lines)


def _number(value: float) -> str:
    if value == round(value):
        return f"{value:,.0f}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
