"""The provider information that Airflow reads from the wheel."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from importlib import import_module, resources
from typing import Any

import jsonschema
import pytest
from airflow.providers.common.compat.module_loading import import_string

from label_detection import provider
from label_detection_core.config.settings import PIPELINES, SECTION, Settings
from sandbox.environment import PROJECT, PYTHONPATH

PYPROJECT = tomllib.loads((PROJECT / "pyproject.toml").read_text())


@pytest.fixture
def info(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setattr(provider, "version", lambda _: PYPROJECT["project"]["version"])
    return provider.get_provider_info()


def test_the_provider_information_has_the_shape_that_airflow_wants(info: dict[str, Any]) -> None:
    schema = json.loads(resources.files("airflow").joinpath("provider_info.schema.json").read_text())
    jsonschema.validate(info, schema)


def test_the_provider_is_the_distribution_that_is_built(info: dict[str, Any]) -> None:
    assert info["package-name"] == PYPROJECT["project"]["name"]
    assert info["versions"] == [PYPROJECT["project"]["version"]]


def test_airflow_lists_every_option(info: dict[str, Any]) -> None:
    assert set(info["config"][SECTION]["options"]) == {*Settings.model_fields, PIPELINES}


def test_each_link_of_an_operator_is_registered(info: dict[str, Any]) -> None:
    from label_detection.operators import images, model, run
    from label_detection.sensors import sqs

    operators = [value for module in (images, model, run, sqs) for value in vars(module).values()]
    links = {type(link) for operator in operators for link in getattr(operator, "operator_extra_links", ())}
    assert links <= {import_string(link) for link in info["extra-links"]}


@pytest.mark.parametrize("what", ["hooks", "operators", "sensors", "triggers"])
def test_each_module_that_the_provider_names_exists(info: dict[str, Any], what: str) -> None:
    names = {integration["integration-name"] for integration in info["integrations"]}
    for integration in info[what]:
        assert integration["integration-name"] in names
        for module in integration["python-modules"]:
            assert import_module(module)


@pytest.mark.parametrize("group", ["apache_airflow_provider", "airflow.plugins"])
def test_an_entry_point_leads_somewhere(group: str) -> None:
    for path in PYPROJECT["project"]["entry-points"][group].values():
        assert import_string(path.replace(":", "."))


def test_airflow_reads_the_provider_before_it_can_be_imported() -> None:
    asks = (
        "import sys, label_detection.provider; print([name for name in sys.modules if name.split('.')[0] == 'airflow'])"
    )
    environment = {"PYTHONPATH": f"{PYTHONPATH}:{PROJECT / 'plugins'}"}
    answer = subprocess.run([sys.executable, "-c", asks], env=environment, capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"
