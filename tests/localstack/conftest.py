"""LocalStack and the embedded AWS, each started once per session; prints the table of outcomes at the end."""

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
    """Returns an AWS by its maker. Started on first use, and shared by all tests."""
    with ExitStack() as stack:
        yield cache(lambda maker: stack.enter_context(serve(maker, tmp_path_factory.mktemp(maker.name.lower()))))


@pytest.fixture(scope="session")
def localstack(aws_of: GetAws) -> Aws:
    """LocalStack with the embedded models."""
    return aws_of(Maker.LOCALSTACK)


@pytest.fixture(scope="session")
def arrived_on(aws_of: GetAws) -> GetArrived:
    """Returns the outcomes of all cases on an AWS, or raises their error. Computed once per session."""
    found: dict[Maker, Arrived | Exception] = {}

    def arrived_on(maker: Maker) -> Arrived:
        if maker not in found:
            try:
                found[maker] = now = arrive_and_run(make_place(aws_of(maker), "outcomes"), cases(maker))
                table.keep(now)
            except Exception as error:  # noqa: BLE001 - any error: each test raises it again
                found[maker] = error
        seen = found[maker]
        if isinstance(seen, Exception):
            raise seen
        return seen

    return arrived_on


@pytest.fixture
def arrived(arrived_on: GetArrived, request: pytest.FixtureRequest) -> Arrived:
    """The outcomes of all cases on the AWS that the fixture's parameter names.

    Not session-scoped: pytest would recreate it for each test, because the parameters of the tests differ.
    """
    return arrived_on(request.param)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if table.KEPT:
        terminalreporter.section("What becomes of what arrives")
        terminalreporter.write_line(table.as_text(table.KEPT))
