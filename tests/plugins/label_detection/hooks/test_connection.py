"""The Airflow connection's settings apply to every client: proxies, S3 addressing, user agent."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from botocore.config import Config

from label_detection import notifications
from label_detection.hooks import switch
from label_detection.hooks.model import hook_for, model_hook
from label_detection.hooks.redacting import RedactingAwsHook
from label_detection.triggers.model import ModelRunningTrigger
from label_detection.triggers.sqs import QueueDepthTrigger
from label_detection.ui import clients
from label_detection_core.model.lease import Lease
from label_detection_core.run.notices import Notice
from tests.core.images import outcomes, upload
from tests.forward_proxy import ONLY_BEHIND_THE_PROXY, ForwardProxy, forward_proxy
from tests.permissions.pipeline import run_pipeline
from tests.plugins.conftest import events_of

if TYPE_CHECKING:
    from tests.conftest import Aws, Topic
    from tests.plugins.conftest import Variables

ROLE = "arn:aws:iam::123456789012:role/switch"


def connection(monkeypatch: pytest.MonkeyPatch, **config_kwargs: Any) -> None:
    extra = {"region_name": "us-east-1", "config_kwargs": config_kwargs}
    value = json.dumps({"conn_type": "aws", "login": "local", "password": "local", "extra": extra})
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", value)


@pytest.fixture
def proxy(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> Iterator[ForwardProxy]:
    """A connection with a real proxy. AWS can only be reached through it."""
    monkeypatch.setattr(clients, "_kept", {})
    with forward_proxy(aws.environment["AWS_ENDPOINT_URL"]) as proxy:
        connection(
            monkeypatch, proxies={"http": proxy.url}, s3={"addressing_style": "path"}, user_agent_extra="packing-team"
        )
        monkeypatch.setenv("AWS_ENDPOINT_URL", ONLY_BEHIND_THE_PROXY)
        yield proxy


@pytest.mark.kinds("rekognition", "sagemaker", "lookoutvision")
def test_a_whole_run_goes_through_the_connections_proxy(
    aws: Aws, proxy: ForwardProxy, variables: Variables, picture: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__LABEL_DETECTION__DEAD_MAN_SWITCH_ROLE_ARN", ROLE)
    image = upload(aws, "part.png", picture)
    ran = run_pipeline(aws, look_early=True)
    assert ran.errors == {}
    assert outcomes(aws, image) == ["labelled"]
    assert {"s3", "sqs", "scheduler", aws.calls.service} <= set(proxy.seen)
    assert proxy.seen["scheduler"] == 2, "the switch must be made and removed through the proxy"
    assert all("packing-team" in agent and "Airflow" in agent for agent in proxy.user_agents)


def test_triggers_go_through_the_proxy(aws: Aws, proxy: ForwardProxy, picture: bytes) -> None:
    upload(aws, "part.png", picture)
    aws.put_model("RUNNING")
    until = (datetime.now(UTC) + timedelta(minutes=1)).isoformat()
    queue_depth = QueueDepthTrigger(
        queue_url=aws.settings.queue_url, until=until, aws_conn_id="aws_default", region_name="us-east-1"
    )
    assert events_of(queue_depth, 10)
    arguments = model_hook(aws.settings).waiter_args()
    before = proxy.seen.copy()
    running = ModelRunningTrigger(
        model_arn=aws.settings.model_arn, waiter_args=arguments, since=datetime.now(UTC).isoformat()
    )
    assert events_of(running, 10)
    assert (before["sqs"], (proxy.seen - before)["rekognition"]) == (1, 1)


def test_a_notice_goes_through_the_proxy(aws: Aws, proxy: ForwardProxy, topic: Topic) -> None:
    notifications.publish(topic.arn, "aws_default", Notice("subject", "body"))
    assert topic.published() == [("subject", "body")]
    assert proxy.seen == {"sns": 1}


def test_the_clients_of_the_pages_go_through_the_proxy(aws: Aws, proxy: ForwardProxy) -> None:
    clients.s3_client(aws.settings).list_objects_v2(Bucket=aws.settings.final_bucket)
    clients.sqs_client(aws.settings).get_queue_attributes(QueueUrl=aws.settings.queue_url)
    clients.cloudwatch_client(aws.settings).list_metrics()
    clients.model_hook(aws.settings).describe()
    assert {"s3", "sqs", "monitoring", "rekognition"} <= set(proxy.seen)


def test_a_switch_is_made_through_the_proxy(aws: Aws, proxy: ForwardProxy) -> None:
    now = datetime.now(UTC)
    lease = Lease(
        model_arn=aws.settings.model_arn,
        dag_id="d",
        run_id="r",
        since=now,
        until=now + timedelta(hours=1),
        units=1,
        aws_conn_id="aws_default",
    )
    assert switch.arm(lease, model_hook(aws.settings), ROLE) is None
    assert proxy.seen["scheduler"] == 1


@pytest.mark.parametrize(
    ("theirs", "ours", "merged"),
    [
        pytest.param({"read_timeout": 5, "proxies": {"https": "http://p"}}, {"read_timeout": 9},
                     {"read_timeout": 9, "proxies": {"https": "http://p"}}, id="ours override the connection's"),
        pytest.param({"s3": {"addressing_style": "path"}}, {"s3": {"us_east_1_regional_endpoint": "regional"}},
                     {"s3": {"addressing_style": "path", "us_east_1_regional_endpoint": "regional"}}, id="S3 options"),
        pytest.param({"retries": {"max_attempts": 1}}, {}, {"retries": {"max_attempts": 1}}, id="connection only"),
        pytest.param({}, {"connect_timeout": 3}, {"connect_timeout": 3}, id="ours only"),
    ],
)  # fmt: skip
def test_the_connections_options_are_merged_under_ours(
    monkeypatch: pytest.MonkeyPatch, theirs: dict[str, Any], ours: dict[str, Any], merged: dict[str, Any]
) -> None:
    connection(monkeypatch, **theirs)
    hook = RedactingAwsHook(client_type="s3", config=Config(**ours) if ours else None)
    assert {name: getattr(hook.config, name) for name in merged} == merged


def test_a_configuration_given_as_a_dict_is_merged_too(monkeypatch: pytest.MonkeyPatch) -> None:
    connection(monkeypatch, proxies={"https": "http://p"})
    hook: Any = RedactingAwsHook(client_type="s3", config={"read_timeout": 9})
    assert (hook.config.read_timeout, hook.config.proxies) == (9, {"https": "http://p"})


def test_the_asynchronous_client_of_a_model_has_the_connections_options(aws: Aws, proxy: ForwardProxy) -> None:
    hook: Any = hook_for(aws.settings.model, "aws_default", Config(read_timeout=9))

    async def describe() -> None:
        async with await hook.get_async_conn() as client:
            await client.describe_projects()

    asyncio.run(describe())
    assert proxy.seen["rekognition"] == 1


@pytest.mark.parametrize(
    ("config_kwargs", "says"),
    [
        ({"proxy": "http://p"}, "unexpected keyword argument 'proxy'"),
        ({"retries": {"mode": "often"}}, "mode"),
        ({"s3": {"addressing_style": "both"}}, "addressing"),
    ],
    ids=["no such option", "no such retry mode", "no such addressing"],
)
def test_options_that_botocore_does_not_take_are_an_error_that_names_the_connection(
    monkeypatch: pytest.MonkeyPatch, config_kwargs: dict[str, Any], says: str
) -> None:
    connection(monkeypatch, **config_kwargs)
    with pytest.raises(ValueError, match=rf"config_kwargs in the extra of the connection aws_default .*{says}"):
        _ = RedactingAwsHook(client_type="s3", config=Config(read_timeout=9)).config
