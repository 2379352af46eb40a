"""Make the README's picture, a run's graph in Airflow: `python -m demo.graph docs/graph.png`. Needs Chromium."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from demo.photographs import encode, photograph
from sandbox.chromium import chromium
from sandbox.environment import clean_own
from sandbox.processes import signals_raise
from sandbox.world import ODDITIES, World, WorldOptions

_DAG = "label_detection"
_IMAGES = 60


def main(picture: Path) -> None:
    """Start a world, run the DAG once, and save a picture of the run's graph."""
    options = WorldOptions(
        settings={"schedule": "", "wait_minutes": "0"}, aws={"start-seconds": "3", "rate": "20", **ODDITIES}
    )
    with tempfile.TemporaryDirectory() as folder, World(Path(folder), options, print) as world:
        world.api.wait_for_dag(_DAG, check=world.check)
        s3, bucket, body = world.s3, world.setting("source_bucket"), encode(photograph("astronaut.png"), ".jpg")
        for number in range(_IMAGES):
            s3.put_object(Bucket=bucket, Key=f"{number}.jpg", Body=body)
        run_id = world.api.trigger(_DAG)
        world.api.wait_for_run(_DAG, run_id, check=world.check)
        _take(f"{world.url}/dags/{_DAG}/runs/{run_id}", picture)


def _take(url: str, picture: Path) -> None:
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1700, "height": 420})
        page.goto(url)
        page.get_by_role("button", name="Show Graph").click()
        page.get_by_role("button", name="Collapse Details Panel").click()
        graph = page.locator(".react-flow")
        graph.locator(".react-flow__node").nth(6).wait_for()
        page.get_by_role("button", name="Fit View").click()
        page.add_style_tag(content=".react-flow__minimap, .react-flow__controls { display: none }")
        page.wait_for_timeout(3000)  # until the graph has stopped moving
        graph.screenshot(path=picture)


if __name__ == "__main__":
    clean_own()
    with signals_raise():
        main(Path(sys.argv[1]))
