"""Measurements, stored as JSON lines in `.results/<model type>/` and as a table in `docs/faults.md`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sandbox.environment import PROJECT
from tests.system.faults.kind import kind

FOLDER = PROJECT / ".results" / kind()
DOCS = PROJECT / "docs" / "faults.md"


def read(path: Path) -> list[dict[str, Any]]:
    """The stored rows, as JSON."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def add(path: Path, row: Any) -> None:
    """Store a row (a dataclass). It replaces the stored row of the same fault."""
    kept = [*(before for before in read(path) if before["fault"] != row.fault), asdict(row)]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(one, ensure_ascii=False) + "\n" for one in kept))


def markdown(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [columns, ("---",) * len(columns), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |" for cells in lines)


def write(docs: Path, begin: str, end: str, table: str) -> None:
    """Write a table between its markers in the page; it replaces the old one."""
    head, rest = docs.read_text().split(begin)
    docs.write_text(f"{head}{begin}\n{table}\n{end}{rest.split(end)[1]}")
