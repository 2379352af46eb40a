"""Links from a task to the project's own pages in Airflow."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from label_detection.links.pages import PicturesLink

PATH = "/dags/label_detection/runs/scheduled__2026-11-22T06%3A00%3A00%2B00%3A00/plugin/labelled_pictures"


@pytest.mark.parametrize(
    ("base_url", "path"),
    [
        (None, PATH),
        ("http://api-server:8080", PATH),
        ("https://airflow.example.com/team-a/", f"/team-a{PATH}"),
    ],
    ids=["not set", "another name for the same server", "under a path"],
)
def test_the_link_to_a_runs_pictures_is_a_path_on_the_browsers_own_host(
    monkeypatch: pytest.MonkeyPatch, base_url: str | None, path: str
) -> None:
    if base_url:
        monkeypatch.setenv("AIRFLOW__API__BASE_URL", base_url)
    else:
        monkeypatch.delenv("AIRFLOW__API__BASE_URL", raising=False)
    ti: Any = SimpleNamespace(dag_id="label_detection", run_id="scheduled__2026-11-22T06:00:00+00:00")
    operator: Any = None
    assert PicturesLink().get_link(operator, ti_key=ti) == path


@pytest.mark.parametrize("run_id", ["a/b", "a?b=c&d", "a#b", "100%", "%2F", "a b+c", "é"])
def test_the_link_has_the_runs_id_as_one_step_of_its_path(run_id: str) -> None:
    ti: Any = SimpleNamespace(dag_id="label_detection", run_id=run_id)
    operator: Any = None
    link = urlsplit(PicturesLink().get_link(operator, ti_key=ti))
    assert (link.query, link.fragment) == ("", "")
    steps = link.path.split("/")
    assert [unquote(step) for step in steps[-5:]] == ["label_detection", "runs", run_id, "plugin", "labelled_pictures"]
