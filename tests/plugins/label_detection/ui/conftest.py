"""The pages' application with a test client. The tests decide which runs Airflow lets a user read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from airflow.api_fastapi.core_api import security
from airflow.models.dag import DagModel
from fastapi.testclient import TestClient

from label_detection.ui import airflow as airflow_api
from label_detection.ui import clients, model_now
from label_detection.ui.airflow import Airflow
from label_detection.ui.app import make_app
from label_detection_core.drain.journal import Journal
from label_detection_core.labelling.documents import LabelDocument
from label_detection_core.labelling.keys import REJECTED, document_key, final_key
from label_detection_core.labelling.labeller import Outcome, Result
from label_detection_core.labelling.labels import Detection, Error, ModelInfo, RunInfo
from label_detection_core.queue.messages import ImageRef
from tests.conftest import Aws
from tests.plugins.label_detection.ui.known import DAG_ID, Known

RUN_ID = "manual__2026-11-22T06:00:00+00:00"


@dataclass
class Rights:
    """The user, and the DAGs whose runs that user may read. `asked`: the checks that Airflow was asked for."""

    user: str | None = "ann"
    may_read: set[str] = field(default_factory=lambda: {DAG_ID})
    asked: list[tuple[str, str, str]] = field(default_factory=list)

    def is_authorized_dag(self, *, method: str, access_entity: Any, details: Any, user: Any) -> bool:
        self.asked.append((method, access_entity.value, details.id))
        return details.id in self.may_read


@pytest.fixture
def airflow(monkeypatch: pytest.MonkeyPatch) -> Rights:
    stand_in = Rights()
    monkeypatch.setattr(security, "get_auth_manager", lambda: stand_in)
    monkeypatch.setattr(DagModel, "get_team_name", lambda dag_id: None)
    monkeypatch.setattr(clients, "_kept", {})
    monkeypatch.setattr(clients, "_making", {})
    return stand_in


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> Known:
    """A stand-in for Airflow's API about DAGs and runs."""
    known = Known()
    monkeypatch.setattr(airflow_api, "variable", known.variables.get)
    monkeypatch.setattr(airflow_api, "variables", known.variables_with)
    monkeypatch.setattr(airflow_api, "pause_after_failures", lambda _: None)
    monkeypatch.setattr(model_now, "_returned", {})
    return known


@pytest.fixture
def browser(aws: Aws, airflow: Rights, known: Known) -> Iterator[TestClient]:
    app = make_app()
    app.dependency_overrides[Airflow] = lambda: known
    if airflow.user:
        app.dependency_overrides[security.get_user] = lambda: airflow.user
    with TestClient(app, follow_redirects=False) as client:
        yield client


@dataclass
class Run:
    """Writes a run's images and journal into the final bucket, as its tasks do."""

    aws: Aws
    run_id: str = RUN_ID

    def __post_init__(self) -> None:
        self._info = RunInfo(DAG_ID, self.run_id, 0)
        self._journal = Journal(self.aws.s3, self.aws.settings.final_bucket, self._info)

    def labelled(self, key: str, body: bytes, labels: list[dict[str, Any]], **result: Any) -> str:
        """Add a labelled image with its document; return its final key."""
        image = ImageRef(self.aws.settings.source_bucket, key, "an-etag")
        final = ImageRef(self.aws.settings.final_bucket, final_key(image))
        document = LabelDocument.of(image, final, Detection(labels), ModelInfo("arn:a", 70), self._info)
        self._put(final.key, body)
        self._put(document_key(final.key), document.to_json())
        self._journal.add(Result(Outcome.LABELLED, image, final.key, labels, **result))
        return final.key

    def rejected(self, key: str, body: bytes) -> str:
        """Add a rejected image without a document; return its final key."""
        image = ImageRef(self.aws.settings.source_bucket, key, "an-etag")
        self._put(final := final_key(image, REJECTED), body)
        self._journal.add(Result(Outcome.REJECTED, image, final, error=Error("BadImage", "no picture")))
        return final

    def named(self, key: str) -> None:
        """Add a journal line with any key, as an attacker could write it."""
        image = ImageRef(self.aws.settings.source_bucket, "a.png", "an-etag")
        self._journal.add(Result(Outcome.LABELLED, image, key))

    def report(self, **facts: Any) -> None:
        self._put(f"runs/{self.run_id}/report.json", json.dumps(facts).encode())

    def write(self) -> None:
        self._journal.write()

    def _put(self, key: str, body: bytes) -> None:
        self.aws.s3.put_object(Bucket=self.aws.settings.final_bucket, Key=key, Body=body)


@pytest.fixture
def images(aws: Aws) -> Run:
    return Run(aws)
