"""LocalStack and the embedded AWS, each once for all tests in here; the table of outcomes at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path

import pytest

from tests.localstack import table
from tests.localstack.cases import cases
from tests.localstack.outcomes import Arrived, arrive_and_run
from tests.localstack.place import make_place
from tests.localstack.server import Aws, Maker, serve

GetAws = Callable[[Maker], Aws]
#: Needs neither LocalStack nor a scheduler.
_ALONE = "test_table.py"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents and item.path.name != _ALONE:
            item.add_marker(pytest.mark.localstack)
            item.add_marker(pytest.mark.system)


@pytest.fixture(scope="session")
def aws_of(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GetAws]:
    """An AWS by its maker. The same one for all tests; started when it is first asked for."""
    with ExitStack() as stack:
        yield cache(lambda maker: stack.enter_context(serve(maker, tmp_path_factory.mktemp(maker.name.lower()))))


@pytest.fixture(scope="session")
def localstack(aws_of: GetAws) -> Aws:
    """LocalStack, with the embedded models."""
    return aws_of(Maker.LOCALSTACK)


@pytest.fixture(scope="session")
def arrived(aws_of: GetAws, request: pytest.FixtureRequest) -> Arrived:
    """What became of all cases on an AWS, the fixture's parameter; a row of the table at the end of the session."""
    maker: Maker = request.param
    found = arrive_and_run(make_place(aws_of(maker), "outcomes"), cases(maker))
    table.keep(found)
    return found


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if table.KEPT:
        terminalreporter.section("What becomes of what arrives")
        terminalreporter.write_line(table.as_text(table.KEPT))
