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
from tests.localstack.resources import make_place
from tests.localstack.server import Aws, Maker, serve

GetAws = Callable[[Maker], Aws]
GetArrived = Callable[[Maker], Arrived]
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
def arrived_on(aws_of: GetAws) -> GetArrived:
    """What became of all cases on an AWS, found out once, a failure too; the table is shown at the session's end."""
    found: dict[Maker, Arrived | Exception] = {}

    def arrived_on(maker: Maker) -> Arrived:
        if maker not in found:
            try:
                found[maker] = now = arrive_and_run(make_place(aws_of(maker), "outcomes"), cases(maker))
                table.keep(now)
            except Exception as error:  # noqa: BLE001 - any error: each test raises it
                found[maker] = error
        seen = found[maker]
        if isinstance(seen, Exception):
            raise seen
        return seen

    return arrived_on


@pytest.fixture
def arrived(arrived_on: GetArrived, request: pytest.FixtureRequest) -> Arrived:
    """What became of all cases on an AWS, the fixture's parameter.

    Not of the session: pytest would make it again for each test, since each has other parameters.
    """
    return arrived_on(request.param)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if table.KEPT:
        terminalreporter.section("What becomes of what arrives")
        terminalreporter.write_line(table.as_text(table.KEPT))
