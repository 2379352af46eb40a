"""A real Airflow with users, one finished run over the demo's pictures, and a real browser."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

import pytest
import requests
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, FrameLocator, Page

from demo.once import upload
from demo.pictures import Picture, examples, pictures
from sandbox.world import World, WorldOptions
from tests.seed import SEED
from tests.system.conftest import make_place

DAG_ID = "label_detection"
#: A user for each tested role; the last one has no role.
USERS = {"admin": "admin", "viewer": "viewer", "nobody": ""}
#: The path below which Airflow is served, as behind a proxy for several teams. No page may assume "/".
PATH = "/team-a"
#: Pictures per page of the gallery.
PAGE_SIZE = 24


@dataclass(frozen=True)
class Site:
    """Airflow with a finished run; `uploaded`: pictures by key."""

    world: World
    run_id: str
    uploaded: dict[str, Picture]

    @property
    def run_page(self) -> str:
        """Airflow's page of the run, with the gallery in a frame."""
        return f"{self.world.url}/dags/{DAG_ID}/runs/{quote(self.run_id)}/plugin/labelled_pictures"

    @property
    def pages(self) -> str:
        """The base URL of our pages, without Airflow's frame."""
        return f"{self.world.url}/label-detection"

    def gallery(self, **params: str) -> str:
        """The URL of the run's gallery, without Airflow's frame."""
        return f"{self.pages}/runs/{DAG_ID}?{urlencode({'run_id': self.run_id, **params})}"

    def get(self, path: str, user: str | None = None, **params: object) -> requests.Response:
        """The answer to a user's browser; None: without login."""
        cookies = {"_token": self.world.api.token(user, user)} if user else {}
        given: Any = {"run_id": self.run_id, **params}
        with requests.Session() as session:
            session.trust_env = False
            return session.get(f"{self.pages}/{path}", params=given, cookies=cookies, timeout=30)

    def images(self, **params: object) -> list[dict[str, Any]]:
        """All images of the run, as the gallery's data lists them."""
        found: list[dict[str, Any]] = self.get(f"runs/{DAG_ID}/images", "viewer", size=100, **params).json()["images"]
        return found

    def documents(self) -> dict[str, dict[str, Any]]:
        """The label documents, by source key."""
        bucket = self.world.setting("final_bucket")
        pages = self.world.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        keys = [entry["Key"] for page in pages for entry in page.get("Contents", [])]
        wanted = [key for key in keys if key.endswith(".json") and not key.startswith(("runs/", "rejected/"))]
        found = [json.loads(self.world.s3.get_object(Bucket=bucket, Key=key)["Body"].read()) for key in wanted]
        return {document["source"]["key"]: document for document in found}


@pytest.fixture(scope="package")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = make_place(tmp_path_factory, "site")
    examples(folder / "examples")
    passwords = folder / "passwords.json"
    passwords.write_text(json.dumps({user: user for user in USERS}))
    options = WorldOptions(
        settings={"schedule": "", "wait_minutes": "0"},
        aws={
            "examples": str(folder / "examples"),
            "start-seconds": "3",
            "stop-seconds": "2",
            "rate": "50",
            "seed": str(SEED),
            "duplicate-share": "0",  # the tests check the number of journal lines
        },
        environment={
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "False",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(f"{user}:{role}" for user, role in USERS.items()),
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords),
        },
        path=PATH,
        credentials=("admin", "admin"),
    )
    with World(folder / "world", options) as world:
        world.api.wait_for_dag(DAG_ID, check=world.check)
        uploaded = pictures()
        upload(world.s3, world.setting("source_bucket"), uploaded)
        world.control("queues", "DELETE")  # makes GetQueueAttributes report the current counts
        run_id = world.api.trigger(DAG_ID, "manual__2026-11-22T06:00:00+00:00")
        assert world.api.wait_for_run(DAG_ID, run_id, 300, world.check) == "success"
        yield Site(world, run_id, {picture.key: picture for picture in uploaded})


@dataclass
class Visitor:
    """A user with a browser; `trouble`: errors in the console, and unexpected dialogs."""

    page: Page
    site: Site
    trouble: list[str]

    @property
    def inside(self) -> FrameLocator:
        """The content of Airflow's frame."""
        return self.page.frame_locator("iframe")

    def note(self, message: ConsoleMessage) -> None:
        """Collect an error of our pages. Errors of Airflow's own pages are ignored."""
        if message.type == "error" and "/label-detection/" in message.location["url"]:
            self.trouble.append(message.text)

    def open(self, url: str) -> None:
        self.page.goto(url)
        self.inside.locator("main").wait_for()

    def open_pictures(self) -> None:
        self.open(self.site.run_page)
        self.inside.locator("#images > li").first.wait_for()

    def wait_for_pictures(self) -> list[dict[str, Any]]:
        """Wait for a page's pictures, and measure them: name, address, size, boxes in ratios of the picture."""
        self.inside.locator("#status", has_text="picture").wait_for()
        found: list[dict[str, Any]] = self.inside.locator("#images").evaluate(_MEASURE)
        return found


@pytest.fixture
def visit(chromium_browser: Browser, site: Site) -> Iterator[Any]:
    contexts: list[BrowserContext] = []
    visitors: list[Visitor] = []

    def make(user: str, width: int = 1280, height: int = 800, scheme: Any = "light") -> Visitor:
        context = chromium_browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
        contexts.append(context)
        token = site.world.api.token(user, user)
        context.add_cookies([{"name": "_token", "value": token, "url": site.world.url}])
        visitor = Visitor(context.new_page(), site, [])
        visitor.page.on("console", visitor.note)
        visitor.page.on("pageerror", lambda error: visitor.trouble.append(str(error)))
        visitor.page.on("dialog", lambda dialog: visitor.trouble.append(dialog.message))
        visitors.append(visitor)
        return visitor

    yield make
    for context in contexts:
        context.close()


#: JavaScript: the boxes as they are on the screen, in ratios of the shown picture.
_MEASURE = """
async (list) => {
  const measured = [];
  for (const item of list.children) {
    const img = item.querySelector("img");
    if (img) img.loading = "eager";
    // The page draws the boxes once it has the picture, or takes it away when it cannot be shown: either may be late.
    const until = performance.now() + 20000;
    const isLate = () => img && img.isConnected && !item.querySelector("svg[viewBox]") && performance.now() < until;
    while (isLate()) await new Promise(requestAnimationFrame);
    await new Promise(requestAnimationFrame);
    const one = {id: item.dataset.image, name: item.querySelector(".name").textContent, src: null, boxes: []};
    if (img && img.isConnected && img.naturalWidth) {
      const frame = img.getBoundingClientRect();
      const scale = Math.min(frame.width / img.naturalWidth, frame.height / img.naturalHeight);
      const [wide, high] = [img.naturalWidth * scale, img.naturalHeight * scale];
      const [left, top] = [frame.left + (frame.width - wide) / 2, frame.top + (frame.height - high) / 2];
      one.src = img.src;
      one.size = [img.naturalWidth, img.naturalHeight];
      for (const rect of item.querySelectorAll("rect.over")) {
        const box = rect.getBoundingClientRect();
        one.boxes.push([(box.left - left) / wide, (box.top - top) / high, box.width / wide, box.height / high]);
      }
    }
    measured.push(one);
  }
  return measured;
}
"""
