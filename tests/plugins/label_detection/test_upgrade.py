"""Data that version 0.1 left in an Airflow and in the buckets can be read: a run goes on after an upgrade.

version_0_1.json has the stored data of a run of 0.1 that was stopped in the middle, and triggers and a history in the
form that its code writes.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.module_loading import import_string

from label_detection.sensors.model import ModelRunningSensor
from label_detection.sensors.sqs import QueueDepthSensor
from label_detection.xcom import PlannedModel, Started
from label_detection_core.drain.journal_line import JournalLine
from label_detection_core.labelling.documents import LabelDocument, RejectedImage
from label_detection_core.model.history import HISTORY_PREFIX, History
from label_detection_core.model.lease import Lease, lease_name, variable_name
from label_detection_core.run.plan import Plan

LEFT: dict[str, Any] = json.loads((Path(__file__).parent / "version_0_1.json").read_text())
ARN = "arn:aws:rekognition:us-east-1:123456789012:project/label-detection/version/1/1701991007554"


def test_the_lease_of_version_0_1_is_found_with_its_holder_and_its_end() -> None:
    lease = Lease.model_validate(LEFT["variables"][lease_name(ARN)])
    assert (lease.model_arn, lease.dag_id, lease.watchdog_dag_id) == (
        ARN,
        "label_detection",
        "label_detection_watchdog",
    )
    assert lease.until == datetime(2026, 11, 27, 16, 24, 38, 536227, UTC)


def test_the_history_of_version_0_1_is_found() -> None:
    history = History.model_validate(LEFT["variables"][variable_name(HISTORY_PREFIX, ARN)])
    assert (history.start_range, history.seconds_per_image) == ((3.2, 4.0), 0.51)


def test_the_plan_of_version_0_1_is_read() -> None:
    plan = Plan.model_validate(LEFT["xcoms"]["plan_run plan"])
    assert (plan.backlog, plan.units, plan.tasks) == (31, 1, 2)
    assert (plan.settings.model_arn, plan.settings.max_tasks) == (ARN, 2)
    assert PlannedModel.model_validate(LEFT["xcoms"]["plan_run plan"]["settings"]).model.arn == ARN


def test_the_start_request_and_the_running_time_of_version_0_1_are_read() -> None:
    started = Started.model_validate(LEFT["xcoms"]["start_model return_value"])
    assert (started.units, started.adopted) == (1, False)
    assert datetime.fromisoformat(LEFT["xcoms"]["wait_for_model return_value"]) > started.requested_at


@pytest.mark.parametrize("classpath", LEFT["triggers"])
def test_the_triggers_of_version_0_1_are_restored(classpath: str) -> None:
    arguments = LEFT["triggers"][classpath]
    assert import_string(classpath)(**arguments).serialize() == (classpath, arguments)


@pytest.mark.parametrize("sensor", [QueueDepthSensor, ModelRunningSensor])
def test_the_deferred_tasks_of_version_0_1_have_the_method_to_resume(sensor: type) -> None:
    assert callable(sensor.execute_complete)  # type: ignore[attr-defined]


@pytest.mark.parametrize("line", LEFT["journal"], ids=lambda line: line["outcome"])
def test_the_journal_of_version_0_1_is_read(line: dict[str, Any]) -> None:
    read = JournalLine.parse(json.dumps(line).encode())
    assert read
    assert read.to_dict() == line


@pytest.mark.parametrize(("name", "model"), [("document", LabelDocument), ("rejected", RejectedImage)])
def test_the_documents_of_version_0_1_are_read(name: str, model: type[LabelDocument | RejectedImage]) -> None:
    read = model.parse(json.dumps(LEFT[name]).encode())
    assert read
    assert read.source
    assert read.source.key == LEFT[name]["source"]["key"]
