"""The measured effect of each oddity: stored as JSON lines, and written into the docs.

`python -m tests.system.faults.oddities.results` writes the stored rows into `docs/aws.md`.
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
    """The measured effect of an oddity, as text; `fault`: its name in the catalogue."""

    fault: str
    measured: str


def add(oddity: Oddity, measured: str) -> None:
    """Store a row. It replaces the stored row of the same oddity."""
    print(f"{oddity.value.fault}: {measured}")  # noqa: T201
    kept_rows.add(RESULTS, Measured(oddity.value.fault, measured))


def markdown(found: list[Measured]) -> str:
    """The table for the docs, in the catalogue's order. An oddity that was not measured has no row."""
    by_fault = {row.fault: row.measured for row in found}
    entries = [oddity.value for oddity in Oddity if oddity.value.fault in by_fault]
    cells = [(entry.fault, entry.documented, entry.pipeline, by_fault[entry.fault]) for entry in entries]
    return kept_rows.markdown(COLUMNS, cells)


def write_docs(found: list[Measured], docs: Path = DOCS) -> None:
    """Write the table into the docs; it replaces the old one."""
    kept_rows.write(docs, BEGIN, END, markdown(found))


if __name__ == "__main__":
    write_docs([Measured(**row) for row in kept_rows.read(RESULTS)])
