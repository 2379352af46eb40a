"""Oddities of other services, of keys and of connections."""

from __future__ import annotations

import json

import pytest

from tests.forward_proxy import ONLY_BEHIND_THE_PROXY, forward_proxy
from tests.system.faults.oddities.catalogue import Oddity
from tests.system.faults.oddities.results import add
from tests.system.faults.oddities.tasks import Tasks, labelled, upload

COUNT = 10
EIGHT_MB = 8 * 1024 * 1024


@pytest.mark.kinds("sagemaker")
def test_a_large_picture_is_sent(tasks: Tasks, picture: bytes) -> None:
    (key,) = upload(tasks.aws, 1, picture.ljust(EIGHT_MB, b"\0"))
    found = tasks.plan_and_analyse()
    done = labelled(tasks.aws, [key])
    add(Oddity.ONE_LARGE, f"{done} of 1 labelled")
    assert (done, found.error) == (1, "")


@pytest.mark.kinds("lookoutvision")
def test_an_anomaly_is_kept_when_its_picture_comes_again(tasks: Tasks, picture: bytes) -> None:
    tasks.aws.fail("s3", "DeleteObject", status=403, code="AccessDenied", key="good", times=1)
    keys = upload(tasks.aws, 1, picture)
    found = tasks.plan_and_analyse()
    lines = [line for line in found.lines if line["outcome"] == "labelled"]
    done, kept = labelled(tasks.aws, keys), sum(line["anomaly"] is not None for line in lines)
    add(Oddity.ANOMALY_AGAIN, f"{found.count('failed') + 1} deliveries: anomaly in {kept} of {len(lines)} journal line")
    assert (done, found.count("failed"), len(lines), kept) == (1, 1, 1, 1)


def test_a_picture_is_never_in_one_of_our_own_folders(tasks: Tasks, picture: bytes) -> None:
    tasks.aws.upload("runs/part.png", picture)
    tasks.plan_and_analyse()
    pictures = [key for key in tasks.aws.keys(tasks.aws.settings.final_bucket) if key.endswith(".png")]
    add(Oddity.RESERVED_FOLDER, f"`runs/part.png` is written under `{pictures[0].partition('part')[0]}`")
    assert [key.startswith("_/runs/part-") for key in pictures] == [True]


def test_a_proxy_of_the_connection_is_used_by_all_clients(
    tasks: Tasks, picture: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = upload(tasks.aws, COUNT, picture)
    with forward_proxy(tasks.aws.environment["AWS_ENDPOINT_URL"]) as proxy:
        config = {"proxies": {"http": proxy.url}, "s3": {"addressing_style": "path"}}
        extra = {"region_name": "us-east-1", "config_kwargs": config}
        connection = {"conn_type": "aws", "login": "local", "password": "local", "extra": extra}
        monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps(connection))
        monkeypatch.setenv("AWS_ENDPOINT_URL", ONLY_BEHIND_THE_PROXY)
        tasks.plan_and_analyse()
        seen = dict(proxy.seen)
    done = labelled(tasks.aws, keys)
    words = ", ".join(f"{count} of {service}" for service, count in sorted(seen.items()))
    add(Oddity.PROXY, f"{done} of {COUNT} labelled; calls through the proxy: {words}")
    assert done == COUNT
    assert {"s3", "sqs", "rekognition"} <= set(seen)
