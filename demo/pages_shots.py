"""Make the docs' pictures of the pages in Airflow's UI: `python -m demo.pages_shots docs`. Needs Chromium."""

from __future__ import annotations

import random
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

from playwright.sync_api import Browser, FrameLocator, Page

from demo.once import upload
from demo.pictures import examples, pictures
from sandbox.chromium import chromium
from sandbox.environment import clean_own
from sandbox.processes import signals_raise
from sandbox.world import ODDITIES, World, WorldOptions

_DAG = "label_detection"
#: Runs before the one in the pictures: the overview compares the last five runs with the earlier ones.
_EARLIER = 11
_WIDE, _NARROW = (1280, 800), (390, 844)


def main(folder: Path) -> None:
    """Start a world, run the DAG several times, and save the pictures."""
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        examples(place / "examples")
        options = WorldOptions(
            settings={"schedule": "", "wait_minutes": "0"},
            aws={
                "examples": str(place / "examples"),
                "start-seconds": "3",
                "stop-seconds": "1",
                "rate": "20",
                **ODDITIES,
            },
        )
        with World(place / "world", options, print) as world, chromium() as browser:
            world.api.wait_for_dag(_DAG, check=world.check)
            run_id = [_run(world, number) for number in range(_EARLIER + 1)][-1]
            run_page = f"{world.url}/dags/{_DAG}/runs/{quote(run_id)}/plugin/labelled_pictures"
            alone = f"{world.url}/label-detection"
            gallery = f"{alone}/runs/{_DAG}?run_id={quote(run_id)}"
            _take(browser, folder / "pages-pictures.png", run_page, _pictures)
            _take(browser, folder / "pages-picture.png", run_page, _one_picture)
            _take(browser, folder / "pages-overview.png", f"{world.url}/plugin/label_detection", _plots)
            _take(browser, folder / "pages-pictures-390.png", gallery, _pictures, _NARROW, dark=True)
            _take(browser, folder / "pages-picture-390.png", gallery, _one_picture, _NARROW, dark=True)
            _take(browser, folder / "pages-overview-390.png", f"{alone}/overview", _plots, _NARROW, dark=True)


def _run(world: World, number: int) -> str:
    """Run the DAG over some of the demo's pictures, and the last time over all of them; returns the run's id."""
    found = pictures(seed=3 + number)
    chosen = random.Random(number)  # noqa: S311  # the same pictures each time
    some = found if number == _EARLIER else chosen.sample(found, chosen.randint(8, 20))
    upload(world.s3, world.setting("source_bucket"), some)
    run_id = world.api.trigger(_DAG)
    state = world.api.wait_for_run(_DAG, run_id, check=world.check)
    print(f"run {number + 1} of {_EARLIER + 1}: {len(some)} pictures, {state}")
    return run_id


def _take(
    browser: Browser,
    picture: Path,
    url: str,
    show: Callable[[Page | FrameLocator], None],
    size: tuple[int, int] = _WIDE,
    dark: bool = False,
) -> None:
    page = browser.new_page(
        viewport={"width": size[0], "height": size[1]}, color_scheme="dark" if dark else "light", device_scale_factor=1
    )
    page.goto(url)
    show(page.frame_locator("iframe") if "/plugin/" in url else page)
    page.wait_for_timeout(1500)  # for pictures that load lazily
    page.screenshot(path=picture)
    page.close()
    print(picture)


def _pictures(inside: Page | FrameLocator) -> None:
    inside.locator("#images rect").first.wait_for(state="attached")


def _one_picture(inside: Page | FrameLocator) -> None:
    inside.locator("#images > li", has_text="pairs/").first.get_by_role("button").click()
    inside.locator("#large-document", has_text="schema").wait_for()


def _plots(inside: Page | FrameLocator) -> None:
    inside.locator(".plot").first.wait_for()


if __name__ == "__main__":
    clean_own()
    with signals_raise():
        main(Path(sys.argv[1]))
