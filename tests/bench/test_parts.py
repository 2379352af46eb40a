"""The results that the parts of the bench derive from their samples, and a small run of each measurement."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bench import airflow_cost, alone, economics, kinds, model_time, pages
from bench.drain_process import Orders
from bench.measures import Measure
from bench.usage import Usage
from sandbox.environment import PROJECT
from tests.conftest import Aws


def by_name(rows: list[Measure], words: str) -> Measure:
    (found,) = [row for row in rows if words in row.what]
    return found


def run_of(images: int, units: int, **more: Any) -> dict[str, Any]:
    usual = {"use": 0.96, "use_detecting": 0.99, "throttled": 0.01, "first_detect": 2.0, "last_detect": 0.5}
    return {"images": images, "units": units, "on_seconds": 30.0, **usual, **more}


def test_use_and_idle_time_have_a_row_for_each_size() -> None:
    rows = model_time.rows([run_of(2000, 5), run_of(2000, 5, use=0.94), run_of(2000, 5, use=0.9), run_of(100, 1)])
    assert by_name(rows, "5 units, 2,000 images: from RUNNING").median == 0.94
    assert not by_name(rows, "5 units, 2,000 images: from RUNNING").is_kept
    assert by_name(rows, "100 images: from RUNNING to the first detect call").values == (2.0,)


def test_the_sample_schedule_is_shown_beside_the_measurement() -> None:
    rows = model_time.rows([run_of(100, 1, on_seconds=111.0)])
    ratio = by_name(rows, "100 images, 1 unit: share of the sample's time")
    assert ratio.median == pytest.approx(111 / (900 + 3540))
    assert ratio.is_kept
    assert "4,440 s" in ratio.against


def test_a_mapped_task_per_image_is_compared_run_by_run() -> None:
    ours, theirs = {"images": 100, "seconds": 2.0, "cpu": 1.0}, {"images": 100, "seconds": 50.0, "cpu": 60.0}
    rows = airflow_cost.compare_rows([{"ours": ours, "theirs": theirs}])
    assert by_name(rows, "throughput of the pipeline").median == 25
    assert by_name(rows, "CPU of the other DAG").median == 60


def test_scale_is_the_largest_against_the_smallest() -> None:
    usual = {"xcom_bytes": 1000, "rows": 44, "scheduler_share": 0.05, "rate": 100.0}
    samples = [{"images": n, "peak_bytes": size, **usual} for n, size in ((200, 100), (2000, 105), (20_000, 120))]
    rows = airflow_cost.scale_rows(samples)
    assert by_name(rows, "memory at 20,000 images").median == pytest.approx(1.2)
    assert not by_name(rows, "memory at 20,000 images").is_kept
    assert by_name(rows, "rows at 20,000 images").is_kept


def test_a_profile_is_shared_out_by_the_innermost_package() -> None:
    stacks = (
        "run (/x/label_detection/a.py:1);send (/v/site-packages/botocore/endpoint.py:2);read (/usr/lib/ssl.py:3) 3\n"
        "run (/x/label_detection_core/drain.py:1);dumps (/usr/lib/json.py:3) 1\n"
        "main (/usr/lib/threading.py:1) 1\n"
    )
    assert alone.shares(stacks) == {"botocore": 0.6, "this project": 0.2, "Python's library": 0.2}


def test_cpu_between_two_looks_is_interpolated() -> None:
    usage = Usage(times=[0.0, 10.0, 20.0], airflow=[0.0, 5.0, 25.0], scheduler=[0.0, 1.0, 2.0])
    assert usage.airflow_between(5.0, 15.0) == 12.5
    assert usage.scheduler_share(0.0, 20.0) == 0.1


def test_a_queue_double_is_drained() -> None:
    found = alone.measure_million(300)
    assert found["labelled"] == 300
    assert found["xcom_bytes"] < 2048


@pytest.mark.parametrize("mode", [None, "adaptive"])
def test_a_drain_in_a_separate_process_labels_the_waiting_images(aws: Aws, picture: bytes, mode: str | None) -> None:
    aws.put_model("RUNNING")
    for number in range(5):
        aws.upload(f"{number}.png", picture + b"%d" % number)
    settings = aws.settings
    orders = Orders(
        settings.queue_url,
        settings.source_bucket,
        settings.final_bucket,
        settings.model_arn,
        images_per_second=100,
        botocore_mode=mode,
    )
    found = alone.run_drain(orders, aws.environment)
    assert (found["labelled"], aws.source_keys()) == (5, [])
    assert found["cpu"] > 0


@pytest.mark.parametrize("file", sorted((PROJECT / "dags").glob("*_dag.py")), ids=lambda file: file.name)
def test_importing_a_dag_file_is_measured(file: Path) -> None:
    found = alone.measure_parse(file)
    assert found["seconds"] > 0


def test_other_model_types_are_compared_run_by_run() -> None:
    def sample(kind: str, cpu: float) -> dict[str, Any]:
        return {"kind": kind, "cpu": cpu, "peak_bytes": 100 * cpu}

    rows = kinds.rows(
        [sample("rekognition", 2), sample("sagemaker", 3), sample("rekognition", 4), sample("sagemaker", 4)]
    )
    assert by_name(rows, "sagemaker: CPU").values == (1.5, 1.0)
    assert by_name(rows, "sagemaker: peak memory").values == (1.5, 1.0)
    assert len(rows) == 2


@pytest.mark.kinds("sagemaker", "lookoutvision")
def test_a_drain_for_another_model_type_labels_the_waiting_images(aws: Aws, picture: bytes) -> None:
    aws.put_model("RUNNING")
    aws.upload("a.png", picture)
    names = ("queue_url", "source_bucket", "final_bucket", "model_arn")
    orders = Orders(**{name: getattr(aws.settings, name) for name in names}, images_per_second=100)
    assert alone.run_drain(orders, aws.environment)["labelled"] == 1


def test_a_large_runs_pages_are_compared_with_a_small_ones() -> None:
    def sample(images: int, seconds: float) -> dict[str, Any]:
        times = {"first_card": seconds, "data": seconds, "search": 3.0, "search_requests": 13}
        return {"images": images, "memory_before": 2e8, "memory": seconds * 1e9, **times}

    rows = pages.rows([sample(50, 0.5), sample(50_000, 0.6), sample(50, 0.5), sample(50_000, 1.0)])
    assert by_name(rows, "first picture's card, divided by that at 50").values == (1.2, 2.0)
    assert not by_name(rows, "first picture's card, divided by that at 50").is_kept
    assert by_name(rows, "search until the last image is found").against == "13 requests"
    assert by_name(rows, "memory after 50 images").values == (500,)
    assert by_name(rows, "memory after 50,000 images, divided by that after 50").values == (1.2, 2.0)
    assert not by_name(rows, "memory after 50,000 images, divided by that after 50").is_kept
    assert pages.rows([]) == []


def test_the_replayed_cost_is_compared_with_each_measured_run() -> None:
    samples = json.loads((PROJECT / "tests" / "core" / "measured_runs.json").read_text())
    rows = economics.rows(samples)
    assert len([row for row in rows if "error of the replayed cost" in row.what and row.is_kept]) == len(samples) == 5
    assert by_name(rows, "200 pictures or 4 hours: cost").median < by_name(rows, "two hours: cost").median
    samples[0]["report"]["model"]["cost_usd"] *= 2
    assert not by_name(economics.rows(samples), "1 image(s), 1 unit(s)").is_kept
