"""The plugin as Airflow loads it, in every process, even a task's. The first request imports what the pages need."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import pytest
from airflow.api_fastapi.core_api.datamodels.plugins import ExternalViewResponse
from fastapi import FastAPI
from fastapi.testclient import TestClient

import label_detection_pages
from label_detection import listener
from sandbox.environment import PROJECT, PYTHONPATH, cleaned

VIEWS = label_detection_pages.LabelDetectionPages.external_views
_LOAD = """
import json, sys
import airflow.plugins_manager
before = set(sys.modules)
import label_detection_pages
print(json.dumps(sorted(set(sys.modules) - before)))
"""


def test_loading_the_plugin_imports_only_its_own_modules(tmp_path: Path) -> None:
    environment = cleaned() | {"AIRFLOW_HOME": str(tmp_path), "PYTHONPATH": f"{PYTHONPATH}:{PROJECT / 'plugins'}"}
    said = subprocess.run(
        [sys.executable, "-c", _LOAD], env=environment, capture_output=True, text=True, timeout=60, check=True
    )
    imported = [name for name in json.loads(said.stdout.splitlines()[-1]) if not name.startswith("airflow.")]
    own = ["label_detection", "label_detection.listener", "label_detection.ui", "label_detection.ui.plugin"]
    assert imported == [*own, "label_detection_pages"]


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view["name"])
def test_airflow_accepts_the_plugins_views(view: dict[str, str]) -> None:
    assert ExternalViewResponse.model_validate(view).href == view["href"]
    assert not view["href"].startswith("/"), "the address must be relative: Airflow may be served below a path"


@pytest.mark.parametrize("below", ["", "/airflow"])
def test_the_addresses_of_the_views_lead_to_the_pages(below: str) -> None:
    """Fills in the addresses as Airflow's UI does, for any run id."""
    airflow, api = FastAPI(), FastAPI()
    (app,) = label_detection_pages.LabelDetectionPages.fastapi_apps
    api.mount(app["url_prefix"], app["app"])
    airflow.mount(below, api)
    run_id = quote("manual__a/b?c#d+e%2F", safe="")
    for view in VIEWS:
        href = view["href"].replace("{DAG_ID}", "label_detection").replace("{RUN_ID}", run_id)
        answer = TestClient(airflow).get(f"{below}/{href}")
        assert (answer.status_code, answer.json()) == (401, {"detail": "Not authenticated"})


def test_the_plugin_has_the_listener_that_pauses_a_pipeline() -> None:
    assert label_detection_pages.LabelDetectionPages.listeners == [listener]
