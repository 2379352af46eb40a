"""The gallery's script in a real browser, without Airflow: its requests, and its handling of late answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from playwright.sync_api import Browser, Locator, Page, Route

from label_detection.ui.policy import policy
from label_detection.ui.responses import ASSETS
from label_detection_core.run.gallery import Show

SITE = "http://pages.test"
PAGES = 4
LABEL = {"name": "cat", "confidence": 80.0, "box": None}


def cursor(page: int) -> str:
    return f"000-0123abcd-{page:06d}:0"


def images(page: int) -> dict[str, Any]:
    """A page of three images, each named by its page and number."""
    image = {"outcome": "labelled", "key": None, "is_picture": False, "labels": [LABEL], "more_labels": 0}
    image |= {"anomaly": None, "error": None, "at": None}
    found = [image | {"id": f"{cursor(page)[:-1]}{number}", "source": f"{page}.{number}"} for number in range(3)]
    end = page == PAGES - 1
    return {"images": found, "next": None if end else cursor(page + 1), "lines": 3, "unreadable": 0}


@dataclass
class Server:
    """A server for the page. `asked`: its requests for images. With `holds`, these wait in `held`."""

    asked: list[dict[str, str]] = field(default_factory=list)
    holds: bool = False
    held: list[Route] = field(default_factory=list)

    def answer(self, route: Route) -> None:
        url = urlsplit(route.request.url)
        name = url.path.rpartition("/")[2]
        if name == "label_detection":
            headers = {"Content-Security-Policy": policy(None)}
            body = (ASSETS / "gallery.html").read_text()
            route.fulfill(body=body, headers=headers, content_type="text/html; charset=utf-8")
        elif name == "images":
            self.asked.append(dict(parse_qsl(url.query)))
            if self.holds:
                self.held.append(route)
            else:
                self.give(route)
        elif name == "summary":
            route.fulfill(body="null", content_type="application/json")
        elif name == "image":
            found = {"image": None, "document": {"of": dict(parse_qsl(url.query))["image"]}, "problem": None}
            route.fulfill(body=json.dumps(found), content_type="application/json")
        else:
            route.fulfill(path=ASSETS / name)

    def give(self, route: Route) -> None:
        query = dict(parse_qsl(urlsplit(route.request.url).query))
        number = int(query["cursor"].split("-")[2].split(":")[0]) if "cursor" in query else 0
        if float(query.get("least", 0)) > 100:
            detail = [{"loc": ["query", "least"], "msg": "Input should be less than or equal to 100"}]
            route.fulfill(status=422, body=json.dumps({"detail": detail}), content_type="application/json")
        else:
            route.fulfill(body=json.dumps(images(number)), content_type="application/json")


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def page(chromium_browser: Browser, server: Server) -> Iterator[Page]:
    page = chromium_browser.new_page()
    trouble: list[str] = []
    page.on("pageerror", lambda error: trouble.append(str(error)))
    page.route("**/*", server.answer)
    page.goto(f"{SITE}/runs/label_detection?run_id=r")
    shows(page, 0)
    yield page
    page.close()
    assert trouble == []


def shows(page: Page, number: int) -> None:
    page.locator("#images .name", has_text=f"{number}.0").wait_for()
    assert page.locator("#images > li").count() == 3


def label(page: Page) -> Locator:
    return page.get_by_role("combobox", name="Label", exact=True)


def held(page: Page, server: Server, count: int) -> None:
    while len(server.held) < count:
        page.wait_for_timeout(10)


def test_text_that_is_typed_but_not_submitted_does_not_change_the_next_page(page: Page, server: Server) -> None:
    label(page).fill("cat")
    page.get_by_label("Minimum confidence").fill("90")
    page.get_by_role("button", name="Next page").click()
    shows(page, 1)
    assert server.asked[-1] == {"run_id": "r", "show": "all", "cursor": cursor(1)}
    assert page.locator("#images .chip").count() == 3, "the next page must use the labels of the last search"
    page.get_by_role("button", name="Filter").click()
    shows(page, 0)
    assert server.asked[-1] == {"run_id": "r", "show": "all", "label": "cat", "least": "90"}
    assert page.locator("#images .chip").count() == 0


def test_a_late_answer_replaces_neither_a_newer_one_nor_the_focus(page: Page, server: Server) -> None:
    server.holds = True
    page.get_by_role("button", name="Next page").click()
    held(page, server, 1)
    label(page).fill("cat")
    label(page).press("Enter")
    held(page, server, 2)
    server.give(server.held[1])
    shows(page, 0)
    server.give(server.held[0])
    page.wait_for_timeout(100)
    shows(page, 0)
    assert label(page).evaluate("field => field === document.activeElement")
    assert page.get_by_role("button", name="Previous page").is_disabled()


def test_fast_clicks_request_one_page_at_a_time(page: Page, server: Server) -> None:
    server.holds = True
    page.evaluate("for (let n = 0; n < 5; n++) document.getElementById('next').click()")
    held(page, server, 1)
    page.wait_for_timeout(100)
    (route,) = server.held
    server.holds = False
    server.give(route)
    shows(page, 1)
    page.get_by_role("button", name="Previous page").click()
    shows(page, 0)
    assert page.get_by_role("button", name="Previous page").is_disabled()


def test_an_arrow_that_is_held_stops_at_the_pages_last_picture(page: Page) -> None:
    page.locator("#images button").first.click()
    for _ in range(9):
        page.keyboard.press("ArrowRight")
    page.locator("#large-document", has_text=f"{cursor(0)[:-1]}2").wait_for()
    assert page.locator("#large-name").inner_text() == "0.2"
    for _ in range(9):
        page.keyboard.press("ArrowLeft")
    page.locator("#large-document", has_text=f"{cursor(0)[:-1]}0").wait_for()
    assert page.locator("#large-name").inner_text() == "0.0"


def test_a_request_that_cannot_be_made_is_explained(page: Page) -> None:
    page.goto(f"{SITE}/runs/label_detection?run_id=r&least=500")
    page.locator("#problem:visible").wait_for()
    assert page.locator("#problem").inner_text() == "Input should be less than or equal to 100"


@pytest.mark.parametrize(("shown", "count"), [("ignored", "3 ignored messages"), ("unreadable", "3 pictures")])
def test_every_outcome_can_be_asked_for(page: Page, server: Server, shown: str, count: str) -> None:
    page.get_by_role("combobox", name="Show").select_option(shown)
    page.locator("#status", has_text=count).wait_for()
    assert server.asked[-1] == {"run_id": "r", "show": shown}


def test_the_page_has_every_filter_that_the_server_has(page: Page) -> None:
    options = page.get_by_role("combobox", name="Show").locator("option")
    assert [option.get_attribute("value") for option in options.all()] == [show.value for show in Show]
