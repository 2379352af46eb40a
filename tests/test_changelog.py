"""The changelog has an entry for the version that is built."""

from __future__ import annotations

import re
import tomllib
from datetime import date

from sandbox.environment import PROJECT

_ENTRY = re.compile(r"^## \[(?P<version>\d+\.\d+\.\d+)\] - (?P<day>\S+)$", re.MULTILINE)


def test_the_newest_entry_has_the_version_that_is_built() -> None:
    built = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["version"]
    assert _entries()[0][0] == built


def test_entries_are_ordered_newest_first() -> None:
    entries = _entries()
    assert entries == sorted(entries, key=_place, reverse=True)
    assert all(date.fromisoformat(day) for _, day in entries)


def _entries() -> list[tuple[str, str]]:
    found = _ENTRY.findall((PROJECT / "CHANGELOG.md").read_text())
    assert len(found) > 1, "no entry found in the changelog"
    return found


def _place(entry: tuple[str, str]) -> list[int]:
    return [int(number) for number in entry[0].split(".")]
