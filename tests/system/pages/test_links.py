"""The links from Airflow's page of a task to the project's pages, in a real Chromium."""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import quote

import pytest

from tests.system.pages.conftest import DAG_ID, Site, Visitor

pytestmark = pytest.mark.system


@pytest.mark.parametrize("task", ["write_report", "analyse_images/mapped/0"])
def test_a_tasks_button_leads_to_the_runs_pictures(site: Site, visit: Callable[..., Visitor], task: str) -> None:
    visitor = visit("viewer")
    visitor.page.goto(f"{site.world.url}/dags/{DAG_ID}/runs/{quote(site.run_id)}/tasks/{task}/details")
    button = visitor.page.get_by_role("link", name="Labelled pictures")
    button.wait_for()
    assert visitor.page.get_by_role("link", name="Final bucket").count() == 0, (
        "there is no console for the embedded AWS"
    )
    button.click()
    visitor.inside.locator("#images > li").first.wait_for()


def test_the_xcoms_describe_the_run_in_one_line(site: Site) -> None:
    path = f"/dags/{DAG_ID}/dagRuns/{quote(site.run_id)}/taskInstances/write_report/xcomEntries/summary"
    line = site.world.api.call("GET", path)["value"]
    good = sum(picture.is_good for picture in site.uploaded.values())
    found = re.fullmatch(r"(\d+) labelled, (\d+) rejected.*; model on for .* minutes, about .* USD", line)
    assert found, line
    assert (int(found[1]) >= good, int(found[2])) == (True, len(site.uploaded) - good)
