"""The table of outcomes: each case, its expected outcome, and its outcome on each AWS.

`python -m tests.localstack.table` writes the rows of the last `make test-localstack` into `docs/localstack.md`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field

from sandbox.environment import PROJECT
from tests.localstack.cases import Case, Outcome
from tests.localstack.outcomes import Arrived
from tests.localstack.server import Maker
from tests.system.faults import kept_rows

RESULTS = PROJECT / ".results" / "outcomes-on-each-aws.json"
DOCS = PROJECT / "docs" / "localstack.md"
BEGIN = "<!-- outcomes: written by make test-localstack -->"
END = "<!-- end of outcomes -->"
_COLUMNS = ("what arrives", "how", "number", "required outcome", *Maker)


@dataclass(frozen=True)
class OutcomeCount:
    """A row. `seen`: number of each outcome, by AWS. An AWS that cannot produce the case is not in it."""

    what: str
    way: str
    number: int
    wanted: str
    seen: dict[str, dict[str, int]] = field(default_factory=dict)

    def cells(self) -> tuple[str, ...]:
        """The row's cells, as text."""
        return (self.what, self.way, str(self.number), self.wanted, *(self._seen_on(maker) for maker in Maker))

    def _seen_on(self, maker: Maker) -> str:
        if maker not in self.seen:
            return "not possible"
        seen = self.seen[maker]
        if set(seen) == {self.wanted}:
            return f"{seen[self.wanted]} {self.wanted}"
        return "**" + ", ".join(f"{number} {outcome}" for outcome, number in sorted(seen.items())) + "**"


def rows(found: Mapping[Maker, Iterable[tuple[Case, Outcome]]]) -> list[OutcomeCount]:
    """One row for all odd keys of a way, and one row for each other case."""
    numbers: Counter[tuple[str, str, str]] = Counter()
    seen: dict[tuple[str, str, str], dict[str, Counter[str]]] = {}
    for maker, ended in found.items():
        here: Counter[tuple[str, str, str]] = Counter()
        for case, outcome in ended:
            what = "a key with " if case.what.startswith("a key with ") else case.what
            kind = (what, case.way, str(case.wanted))
            here[kind] += 1
            seen.setdefault(kind, {}).setdefault(maker, Counter())[str(outcome)] += 1
        numbers |= here
    return [
        OutcomeCount(
            "an odd key" if what.endswith(" ") else what, way, numbers[what, way, wanted], wanted, _plain(by_maker)
        )
        for (what, way, wanted), by_maker in seen.items()
    ]


def _plain(by_maker: Mapping[str, Counter[str]]) -> dict[str, dict[str, int]]:
    return {str(maker): dict(counts) for maker, counts in by_maker.items()}


_FOUND: dict[Maker, list[tuple[Case, Outcome]]] = {}
#: The rows of this session.
KEPT: list[OutcomeCount] = []


def keep(arrived: Arrived) -> None:
    """Keep the outcomes on an AWS, for the end of the session and for the docs."""
    _FOUND[arrived.place.aws.maker] = list(zip(arrived.cases, arrived.seen, strict=True))
    KEPT[:] = rows(_FOUND)
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps([asdict(row) for row in KEPT], ensure_ascii=False, indent=1) + "\n")


def as_text(found: Iterable[OutcomeCount]) -> str:
    """The table as text for a terminal."""
    cells = [_COLUMNS, *(row.cells() for row in found)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(_COLUMNS))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in cells)


def markdown(found: Iterable[OutcomeCount]) -> str:
    """The table as Markdown for the docs."""
    return kept_rows.markdown(_COLUMNS, [row.cells() for row in found])


if __name__ == "__main__":
    kept = [OutcomeCount(**row) for row in json.loads(RESULTS.read_text())]
    kept_rows.write(DOCS, BEGIN, END, markdown(kept))
