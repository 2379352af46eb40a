"""The tables of the fault suite, tested without breaking anything."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from sandbox.postgres import postgres
from tests.seed import SEED
from tests.system.faults import kept_rows
from tests.system.faults.kept_rows import DOCS
from tests.system.faults.oddities import results as oddities
from tests.system.faults.oddities.catalogue import Oddity
from tests.system.faults.outcomes.seeds import FIRST_SEED, SEED_COUNT, seeds
from tests.system.faults.results import BEGIN, END, FaultResult, Layer, markdown, write_docs

ROW = FaultResult("kill -9", "teardown", 30.0, "the fault", 4.25, 4.25, "40 labelled")


@pytest.mark.parametrize(("seconds", "kept"), [(0.0, True), (30.0, True), (30.1, False)])
def test_a_bound_is_a_promise(seconds: float, kept: bool) -> None:
    assert replace(ROW, off_after=seconds).is_kept is kept


def test_the_table_replaces_the_old_one(tmp_path: Path) -> None:
    docs = tmp_path / "faults.md"
    docs.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    write_docs([ROW], docs)
    write_docs([replace(ROW, off_after=0.0)], docs)
    text = docs.read_text()
    assert text.startswith(f"before\n{BEGIN}\n| fault |")
    assert text.endswith(f"{END}\nafter\n")
    assert "| kill -9 | teardown | 30 s | the fault | off already | 4.2 s | 40 labelled |" in text
    assert "old" not in text


def test_the_docs_hold_what_was_measured_and_every_promise_is_kept() -> None:
    head, _, *rows = DOCS.read_text().split(BEGIN)[1].split(END)[0].strip().splitlines() or ["", ""]
    assert head == markdown([]).splitlines()[0], "the table in the docs has other columns; run: make faults"
    assert {layer.words for layer in Layer} == {row.split(" | ")[1] for row in rows}
    for row in rows:
        bound, measured = (cell.removesuffix(" s") for cell in row.split(" | ")[2:5:2])
        assert measured == "off already" or float(measured) <= float(bound), row


def test_without_postgres_the_error_names_the_package_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "glob", lambda *_: [])
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(FileNotFoundError, match="install Debian's package postgresql"), postgres(tmp_path):
        pass


def test_the_docs_hold_a_row_for_each_oddity_of_aws_in_the_catalogues_order() -> None:
    table = oddities.DOCS.read_text().split(oddities.BEGIN)[1].split(oddities.END)[0].strip()
    rows = [row.strip("| ").split(" | ") for row in table.splitlines()]
    assert rows[0] == list(oddities.COLUMNS), "the table in the docs has other columns; run: make faults"
    entries = [oddity.value for oddity in Oddity]
    assert [row[:3] for row in rows[2:]] == [[one.fault, one.documented, one.pipeline] for one in entries]
    assert all(row[3] for row in rows[2:])


def test_an_oddity_that_was_measured_again_has_its_newest_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(oddities, "RESULTS", tmp_path / "oddities.jsonl")
    for words in ("old", "new"):
        oddities.add(Oddity.DELAYED, words)
        oddities.add(Oddity.COUNTS_OLD, "3 s")
    kept = [oddities.Measured(**row) for row in kept_rows.read(oddities.RESULTS)]
    table = oddities.markdown(kept).splitlines()[2:]
    assert [row.endswith(end) for row, end in zip(table, ("| 3 s |", "| new |"), strict=True)] == [True, True]


@pytest.mark.parametrize(
    ("environment", "is_whole_suite", "wanted"),
    [
        pytest.param({}, True, range(1, 21), id="the whole suite"),
        pytest.param({}, False, range(SEED, SEED + 2), id="the gate"),
        pytest.param({SEED_COUNT: "3"}, True, range(1, 4), id="SEEDS=3"),
        pytest.param({FIRST_SEED: "7", SEED_COUNT: "1"}, False, range(7, 8), id="one seed again"),
    ],
)
def test_the_gate_draws_new_seeds_and_the_whole_suite_has_twenty(
    environment: dict[str, str], is_whole_suite: bool, wanted: range
) -> None:
    assert seeds(environment, is_whole_suite=is_whole_suite) == wanted
