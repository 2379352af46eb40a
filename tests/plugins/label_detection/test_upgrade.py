"""What version 0.1 has left in an Airflow and in the buckets is read by this one: a run goes on after an upgrade.

version_0_1.json has what a run of 0.1 had stored when it was stopped in the middle, and triggers and a history as its
code makes them.
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


def test_its_lease_is_found_and_says_who_holds_the_model_until_when() -> None:
    lease = Lease.model_validate(LEFT["variables"][lease_name(ARN)])
    assert (lease.model_arn, lease.dag_id, lease.watchdog_dag_id) == (
        ARN,
        "label_detection",
        "label_detection_watchdog",
    )
    assert lease.until == datetime(2026, 11, 27, 16, 24, 38, 536227, UTC)


def test_its_history_of_starts_is_found() -> None:
    history = History.model_validate(LEFT["variables"][variable_name(HISTORY_PREFIX, ARN)])
    assert (history.start_range, history.seconds_per_image) == ((3.2, 4.0), 0.51)


def test_its_plan_is_one() -> None:
    plan = Plan.model_validate(LEFT["xcoms"]["plan_run plan"])
    assert (plan.backlog, plan.units, plan.tasks) == (31, 1, 2)
    assert (plan.settings.model_arn, plan.settings.max_tasks) == (ARN, 2)
    assert PlannedModel.model_validate(LEFT["xcoms"]["plan_run plan"]["settings"]).model.arn == ARN


def test_its_start_request_and_when_the_model_ran_are_known() -> None:
    started = Started.model_validate(LEFT["xcoms"]["start_model return_value"])
    assert (started.units, started.adopted) == (1, False)
    assert datetime.fromisoformat(LEFT["xcoms"]["wait_for_model return_value"]) > started.requested_at


@pytest.mark.parametrize("classpath", LEFT["triggers"])
def test_its_triggers_are_restored(classpath: str) -> None:
    arguments = LEFT["triggers"][classpath]
    assert import_string(classpath)(**arguments).serialize() == (classpath, arguments)


@pytest.mark.parametrize("sensor", [QueueDepthSensor, ModelRunningSensor])
def test_its_deferred_tasks_have_the_method_to_resume(sensor: type) -> None:
    assert callable(sensor.execute_complete)  # type: ignore[attr-defined]


@pytest.mark.parametrize("line", LEFT["journal"], ids=lambda line: line["outcome"])
def test_its_journal_is_read(line: dict[str, Any]) -> None:
    read = JournalLine.parse(json.dumps(line).encode())
    assert read
    assert read.to_dict() == line


@pytest.mark.parametrize(("name", "model"), [("document", LabelDocument), ("rejected", RejectedImage)])
def test_its_documents_are_read(name: str, model: type[LabelDocument | RejectedImage]) -> None:
    read = model.parse(json.dumps(LEFT[name]).encode())
    assert read
    assert read.source
    assert read.source.key == LEFT[name]["source"]["key"]
