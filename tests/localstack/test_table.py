"""The table of outcomes, without an AWS."""

from __future__ import annotations

import pytest

from tests.localstack.cases import cases
from tests.localstack.server import PYTHON, Maker, serve
from tests.localstack.table import DOCS, OutcomeCount, markdown, rows


@pytest.mark.parametrize(
    ("seen", "shown"),
    [
        pytest.param({Maker.LOCALSTACK: {"labelled": 3}}, "| 3 labelled | not possible |", id="all as expected"),
        pytest.param(
            {Maker.LOCALSTACK: {"labelled": 2, "rejected": 1}, Maker.EMBEDDED: {"labelled": 3}},
            "| **2 labelled, 1 rejected** | 3 labelled |",
            id="one is not",
        ),
    ],
)
def test_a_row_shows_unexpected_outcomes(seen: dict[str, dict[str, int]], shown: str) -> None:
    assert markdown([OutcomeCount("an odd key", "sns", 3, "labelled", seen)]).splitlines()[-1].endswith(shown)


def test_the_docs_have_every_case_with_its_expected_outcome() -> None:
    wanted = {maker: [(case, case.wanted) for case in cases(maker)] for maker in Maker}
    assert markdown(rows(wanted)) in DOCS.read_text(), "the table in the docs is out of date; run: make test-localstack"


@pytest.mark.parametrize("maker", Maker, ids=str)
def test_every_case_has_a_name_of_its_own(maker: Maker) -> None:
    names = [case.name for case in cases(maker)]
    assert len({*names}) == len(names) > 100


def test_without_localstack_the_error_names_the_command_to_run(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(PYTHON, raising=False)
    with (
        pytest.raises(FileNotFoundError, match="make test-localstack"),
        serve(Maker.LOCALSTACK, tmp_path_factory.mktemp("localstack")),
    ):
        pass
