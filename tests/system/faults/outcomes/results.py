"""The outcomes of the images: a row for each fault, stored as JSON lines, and written into the docs.

`python -m tests.system.faults.outcomes.results` writes the stored rows into `docs/faults.md`.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from tests.system.faults import kept_rows
from tests.system.faults.outcomes.audit import Audit, Outcome

RESULTS = kept_rows.FOLDER / "images.jsonl"
BEGIN = "<!-- images: written by make faults -->"
END = "<!-- end of images -->"
_COLUMNS = ("fault", "how often", "versions", *Outcome, "problems")


@dataclass(frozen=True)
class ImageRow:
    """A fault, how often it occurred, and the result of the audit."""

    fault: str
    done: str
    counts: dict[str, int]
    problems: int

    @classmethod
    def of(cls, fault: str, done: Counter[str], found: Audit) -> ImageRow:
        """Make a row from the faults that occurred and the audit."""
        did = ", ".join(f"{n} x {what}" for what, n in sorted(done.items()))
        return cls(fault, did, {str(outcome): n for outcome, n in found.counts.items()}, len(found.problems))

    def cells(self) -> tuple[str, ...]:
        """The row's cells, as text."""
        counts = tuple(str(self.counts.get(outcome, 0)) for outcome in Outcome)
        return self.fault, self.done, str(sum(self.counts.values())), *counts, str(self.problems)


def add(row: ImageRow) -> None:
    """Store a row. It replaces the stored row of the same fault."""
    kept_rows.add(RESULTS, row)


if __name__ == "__main__":
    rows = [ImageRow(**row).cells() for row in kept_rows.read(RESULTS)]
    kept_rows.write(kept_rows.DOCS, BEGIN, END, kept_rows.markdown(_COLUMNS, rows))
