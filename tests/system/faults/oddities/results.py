"""What was measured of each oddity: kept as JSON lines, written into the docs.

`python -m tests.system.faults.oddities.results` writes the rows that were kept into `docs/aws.md`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sandbox.environment import PROJECT
from tests.system.faults import kept_rows
from tests.system.faults.oddities.catalogue import Oddity

RESULTS = kept_rows.FOLDER / "oddities.jsonl"
DOCS = PROJECT / "docs" / "aws.md"
BEGIN = "<!-- oddities: written by make faults -->"
END = "<!-- end of oddities -->"
COLUMNS = ("fault or oddity of AWS", "where it is documented", "what the pipeline does", "measured")


@dataclass(frozen=True)
class Measured:
    """What came of an oddity, in words; `fault` is its name in the catalogue."""

    fault: str
    measured: str


def add(oddity: Oddity, measured: str) -> None:
    """Keep a row; it replaces the row that the same oddity had before."""
    print(f"{oddity.value.fault}: {measured}")  # noqa: T201
    kept_rows.add(RESULTS, Measured(oddity.value.fault, measured))


def markdown(found: list[Measured]) -> str:
    """The table for the docs, in the catalogue's order; an oddity that was not measured has no row."""
    by_fault = {row.fault: row.measured for row in found}
    entries = [oddity.value for oddity in Oddity if oddity.value.fault in by_fault]
    cells = [(entry.fault, entry.documented, entry.pipeline, by_fault[entry.fault]) for entry in entries]
    return kept_rows.markdown(COLUMNS, cells)


def write_docs(found: list[Measured], docs: Path = DOCS) -> None:
    """Put the table into the docs; it replaces the table before."""
    kept_rows.write(docs, BEGIN, END, markdown(found))


if __name__ == "__main__":
    write_docs([Measured(**row) for row in kept_rows.read(RESULTS)])
