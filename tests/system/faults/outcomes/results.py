"""What became of the images: a row for each fault, kept as JSON lines, written into the docs.

`python -m tests.system.faults.outcomes.results` writes the rows that were kept into `docs/faults.md`.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

from demo.environment import PROJECT
from tests.system.faults.outcomes.audit import Audit, Outcome

RESULTS = PROJECT / ".results" / "images.jsonl"
DOCS = PROJECT / "docs" / "faults.md"
BEGIN = "<!-- images: written by make faults -->"
END = "<!-- end of images -->"
_COLUMNS = ("fault", "done", "versions", *Outcome, "problems")


@dataclass(frozen=True)
class ImageRow:
    """A fault, how often it was made, and what the audit found."""

    fault: str
    done: str
    counts: dict[str, int]
    problems: int

    @classmethod
    def of(cls, fault: str, done: Counter[str], found: Audit) -> ImageRow:
        """From what was done, and the audit."""
        did = ", ".join(f"{n} x {what}" for what, n in sorted(done.items()))
        return cls(fault, did, {str(outcome): n for outcome, n in found.counts.items()}, len(found.problems))

    def cells(self) -> tuple[str, ...]:
        """The row, as it is shown."""
        counts = tuple(str(self.counts.get(outcome, 0)) for outcome in Outcome)
        return self.fault, self.done, str(sum(self.counts.values())), *counts, str(self.problems)


def add(row: ImageRow) -> None:
    """Keep a row, in the place of the one that the same fault had before."""
    kept = [*(before for before in rows() if before.fault != row.fault), row]
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text("".join(json.dumps(asdict(row), ensure_ascii=False) + "\n" for row in kept))


def rows(path: Path = RESULTS) -> list[ImageRow]:
    """The rows that were kept."""
    return [ImageRow(**json.loads(line)) for line in path.read_text().splitlines()] if path.exists() else []


def markdown(found: list[ImageRow]) -> str:
    """The table for the docs."""
    lines = [_COLUMNS, ("---",) * len(_COLUMNS), *(row.cells() for row in found)]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |" for cells in lines)


def write_docs(found: list[ImageRow], docs: Path = DOCS) -> None:
    """Put the table into the docs, in the place of the one before."""
    head, rest = docs.read_text().split(BEGIN)
    docs.write_text(f"{head}{BEGIN}\n{markdown(found)}\n{END}{rest.split(END)[1]}")


if __name__ == "__main__":
    write_docs(rows())
