"""A world to break: Airflow's components as separate processes, on Postgres, started once for all tests in here.

Before and after each test the world is in its initial state.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from demo.pictures import examples
from sandbox.aws_clients import client
from sandbox.postgres import postgres
from sandbox.waiting import wait_until
from sandbox.world import World, WorldOptions
from tests.seed import SEED
from tests.system.conftest import START_SECONDS, STOP_SECONDS
from tests.system.faults import results
from tests.system.faults.breaking import DAGS, BreakablePipeline, copy_dags
from tests.system.faults.images import Outcomes, outcomes
from tests.system.faults.kind import kind, name_the_endpoint
from tests.system.faults.results import FaultResult, Layer

#: Fixed ARNs, so that Airflow can be configured before the resources exist.
TOPIC_ARN = "arn:aws:sns:us-east-1:123456789012:label-detection-alarms"
ROLE_ARN = "arn:aws:iam::123456789012:role/label-detection-dead-man-switch"
_SETTINGS = {
    "schedule": "",
    "wait_minutes": "0",
    "watchdog_grace_minutes": "0",
    "dead_man_switch_role_arn": ROLE_ARN,
    "sns_topic_arn": TOPIC_ARN,
}
_AWS = {
    "start-seconds": str(START_SECONDS),
    "stop-seconds": str(STOP_SECONDS),
    "rate": "20",
    "latency": "0.1",
    "model": kind(),
    "seed": str(SEED),
}

#: Pictures of most tests: the model needs some seconds for them.
IMAGES = 50
ANALYSIS_ENDS = "the end of the analysis"
#: Seconds until Airflow notices a task whose worker is lost, in this world's configuration.
HEARTBEAT = 35.0
TICK = "the watchdog's next run"

Conclude = Callable[..., FaultResult]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.faults)
            item.add_marker(pytest.mark.system)


@pytest.fixture(scope="session")
def _world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("faults")
    with ExitStack() as stack:
        try:
            url = stack.enter_context(postgres(folder / "logs"))
        except FileNotFoundError as error:
            pytest.exit(f"make faults: {error}", returncode=pytest.ExitCode.USAGE_ERROR)
        examples(folder / "examples")
        options = WorldOptions(
            dags_folder=copy_dags(folder / "dags"),
            sql_alchemy_conn=url,
            settings=_SETTINGS,
            aws=_AWS | {"examples": str(folder / "examples")},
        )
        world = stack.enter_context(World(folder, options))
        name_the_endpoint(client(world.aws_environment, "sagemaker"), world.setting("model_arn"))
        sns = client(world.aws_environment, "sns")
        assert sns.create_topic(Name=TOPIC_ARN.rpartition(":")[2])["TopicArn"] == TOPIC_ARN
        for dag_id in DAGS:
            world.api.wait_for_dag(dag_id, check=world.check)
        yield world


@pytest.fixture
def alarms(pipeline: BreakablePipeline) -> Iterator[str]:
    """The URL of a queue that receives the pipeline's notices."""
    sns = pipeline.client("sns")
    url = pipeline.sqs.create_queue(QueueName="alarms")["QueueUrl"]
    arn = "arn:aws:sqs:us-east-1:123456789012:alarms"
    subscription = sns.subscribe(TopicArn=TOPIC_ARN, Protocol="sqs", Endpoint=arn, ReturnSubscriptionArn=True)
    yield url
    sns.unsubscribe(SubscriptionArn=subscription["SubscriptionArn"])
    pipeline.sqs.delete_queue(QueueUrl=url)


@pytest.fixture
def pipeline(_world: World) -> Iterator[BreakablePipeline]:
    """The pipeline, in its initial state before and after the test."""
    pipeline = BreakablePipeline(_world, _world.s3, _world.sqs)
    pipeline.tidy()
    yield pipeline
    pipeline.tidy()


@pytest.fixture
def conclude(pipeline: BreakablePipeline) -> Conclude:
    """Ends a test: checks that the model goes off in time and that every image has one outcome; adds a table row.

    `at`: time of the fault, in seconds since 1970; `clock`: description and time of the moment from which the layer's
    bound is counted, by default the fault; `extra`: additional seconds until Airflow notices; `rest`: whether another
    run labels what is left.
    """

    def conclude(
        fault: str,
        layer: Layer,
        keys: list[str],
        *,
        at: float,
        clock: tuple[str, float] | None = None,
        extra: float = 0.0,
        rest: bool = True,
    ) -> FaultResult:
        wait_until(
            lambda: pipeline.status() in {"STOPPED", "FAILED"},
            120,
            f"the model off after {fault}",
            pipeline.world.check,
        )
        words, since = clock or ("the fault", at)
        off_at = pipeline.off_at()
        first = outcomes(pipeline, keys)
        row = FaultResult(
            fault,
            layer.words,
            layer.bound + extra,
            words,
            max(0.0, off_at - since),
            max(0.0, off_at - at),
            label_the_rest(pipeline, keys, first) if rest else str(first),
        )
        results.add(row)
        assert row.is_kept, row
        return row

    return conclude


def label_the_rest(pipeline: BreakablePipeline, keys: list[str], first: Outcomes) -> str:
    """The outcomes of the images as text. Starts another run if images are pending, and adds what it labelled."""
    if not first.pending:
        return str(first)
    pipeline.heal()
    assert pipeline.finish(pipeline.trigger()) == "success"
    then = outcomes(pipeline, keys)
    assert not then.pending, then
    return f"{first}; the next run labelled {then.labelled - first.labelled}"


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Print the table. In the gate, fail if a layer has no row in it."""
    if session.config.option.markexpr not in {"gate", "model", "faults"}:
        return
    results.show(results.MEASURED)
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    missing = {layer.words for layer in Layer} - {row.layer for row in results.MEASURED}
    if session.config.option.markexpr != "faults":  # its fault takes more than a minute
        missing -= {Layer.TRIGGERER.words}
    if session.config.option.markexpr == "model":  # the suite for another model type tests only its life cycle
        missing &= {Layer.TEARDOWN.words}
    if os.environ.get("CI") and missing and session.exitstatus == 0 and reporter:
        reporter.write_line(f"no fault was measured of: {', '.join(sorted(missing))}", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
