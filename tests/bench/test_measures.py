"""The tables of measurements."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bench import measures
from bench.measures import Bound, Measure, at_least, at_most
from sandbox.environment import PROJECT


def row(*values: float, bound: Bound | None = None) -> Measure:
    return Measure("use", "5 units", values, "s", "the rate", bound)


def test_a_row_is_the_median_of_its_runs_and_their_spread() -> None:
    cells = row(3.0, 1.0, 2.0).cells()
    assert cells == ("use", "5 units", "2 s", "1 to 3", "3", "", "the rate")


@pytest.mark.parametrize(
    ("bound", "kept"),
    [(at_least(2.0), True), (at_most(2.0), True), (at_least(2.1), False), (at_most(1.9), False), (None, True)],
    ids=["at least", "at most", "too little", "too much", "no bound"],
)
def test_the_median_is_compared_with_the_bound(bound: Bound | None, kept: bool) -> None:
    measured = row(1.0, 2.0, 9.0, bound=bound)
    assert measured.is_kept is kept
    assert ("MISSED" in measured.cells()[5]) is not kept


def test_the_table_is_written_as_json_and_markdown(tmp_path: Path) -> None:
    measured = [row(1.0, 2.0, 9.0, bound=at_most(1.0)), row(1234.5)]
    measures.write(measured, tmp_path)
    first, second = json.loads((tmp_path / "bench.json").read_text())
    assert (first["median"], first["kept"], first["values"]) == (2.0, False, [1.0, 2.0, 9.0])
    assert second["kept"] is True
    assert "| use | 5 units | 1,234 s |  | 1 |  | the rate |" in measures.markdown(measured).splitlines()


def test_samples_are_kept_by_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measures, "SAMPLES", tmp_path / "samples")
    samples: list[dict[str, Any]] = [{"use": 0.9}]
    assert measures.kept("model") == []
    measures.keep("model", samples)
    assert measures.kept("model") == samples


def test_a_row_that_was_not_measured_again_stays_in_its_place() -> None:
    again, other = Measure("use", "5 units", (9.0,), "s", ""), Measure("parse", "a file", (2.0,), "s", "")
    new = Measure("use", "6 units", (1.0,), "s", "")
    assert measures.merged([again, new], [row(1.0), other]) == [again, other, new]


def test_the_documents_have_what_was_measured_last() -> None:
    measured = measures.read()
    assert measures.markdown(measured) in (PROJECT / "docs" / "bench.md").read_text()
    assert measures.highlights(measured) in (PROJECT / "docs" / "measured.md").read_text()


def test_a_published_row_that_misses_its_bound_is_explained_in_the_document() -> None:
    text = (PROJECT / "docs" / "bench.md").read_text().split("## What the limits are")[1]
    assert [row.what for row in measures.read() if not row.is_kept and row.what not in text] == []
