"""Accessibility of the pages: axe-core's rules, and use by keyboard only."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from tests.system.pages.conftest import PAGE_SIZE, Site, Visitor

pytestmark = pytest.mark.system

Visit = Callable[..., Visitor]


def _gallery(page: Page, site: Site, **params: str) -> None:
    page.goto(site.gallery(**params))
    page.locator("#images > li").first.wait_for()


def _picture(page: Page, site: Site) -> None:
    _gallery(page, site)
    page.locator("#images > li", has=page.locator(".chip")).first.get_by_role("button").click()
    page.locator("#large-document", has_text="schema").wait_for()


def _rejected(page: Page, site: Site) -> None:
    _gallery(page, site, show="rejected")


def _rejected_picture(page: Page, site: Site) -> None:
    _rejected(page, site)
    page.locator("#images > li button").first.click()
    page.locator("#large-document", has_text="error").wait_for()


def _failure(page: Page, site: Site) -> None:
    page.goto(site.gallery(cursor="nowhere"))
    page.get_by_role("alert").wait_for()


def _overview(page: Page, site: Site) -> None:
    page.goto(f"{site.pages}/overview")
    page.locator(".plot").first.wait_for()
    page.locator(".now").wait_for()


SIGHTS = (_gallery, _picture, _rejected, _rejected_picture, _failure, _overview)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_axe_finds_nothing_wrong(site: Site, visit: Visit, width: int, scheme: str) -> None:
    page = visit("viewer", width, 844, scheme).page
    found: dict[str, list[str]] = {}
    for sight in SIGHTS:
        sight(page, site)
        # evaluated by Playwright, because the pages' own policy blocks foreign scripts
        violations = Axe().run(page).response["violations"]
        found |= {f"{sight.__name__}: {one['id']}": [_node(node) for node in one["nodes"]] for one in violations}
    assert found == {}


def _node(node: dict[str, Any]) -> str:
    return f"{node['target']}: {node['failureSummary']}"


#: JavaScript: the focused element's group, and its position on the page.
_FOCUSED = """
() => {
  const one = document.activeElement;
  const group = one.closest("#report, #overview, #filters, #images, #paging");
  const box = one.getBoundingClientRect();
  const [left, top] = [box.left + scrollX, box.top + scrollY];
  return {group: group && group.id, left, top, right: left + box.width, bottom: top + box.height};
}
"""


@pytest.mark.parametrize("width", [1280, 390])
def test_tab_goes_through_the_page_as_it_is_read(site: Site, visit: Visit, width: int) -> None:
    page = visit("viewer", width, 844).page
    _gallery(page, site)
    page.locator("#report").wait_for()
    filters = page.locator("#filters").locator("select, input, button").count()
    groups = ["report", "overview", *["filters"] * filters, *["images"] * PAGE_SIZE, "paging"]
    stops = []
    for _ in groups:
        page.keyboard.press("Tab")
        stops.append(page.evaluate(_FOCUSED))
    assert [stop["group"] for stop in stops] == groups
    for one, other in pairwise(stops):
        assert other["left"] >= one["right"] - 1 or other["top"] >= one["bottom"] - 1, (one, other)


@pytest.mark.parametrize("key", ["Tab", "Shift+Tab"])
def test_an_open_picture_keeps_the_focus_until_escape_returns_it(visit: Visit, key: str) -> None:
    visitor = visit("viewer")
    visitor.open_pictures()
    inside, keyboard = visitor.inside, visitor.page.keyboard
    card = inside.locator("#images > li", has=inside.locator(".chip")).nth(1).get_by_role("button")
    card.focus()
    keyboard.press("Enter")
    inside.locator("#large-document", has_text="schema").wait_for()
    seen = []
    for _ in range(inside.locator("#large").locator("button:enabled, a, pre").count() + 2):
        keyboard.press(key)
        assert visitor.page.evaluate("document.activeElement.localName") == "iframe", "the focus must stay in the frame"
        focused = inside.locator("*:focus")
        seen.append(focused.evaluate("one => one.closest('#large') && (one.id || one.className)"))
    assert None not in seen
    assert {"large-previous", "large-next", "close", "chip", "large-link", "large-document"} <= set(seen)
    keyboard.press("Escape")
    inside.get_by_role("dialog").wait_for(state="hidden")
    assert card.evaluate("button => button === document.activeElement")


def test_the_last_picture_leaves_the_keyboard_where_it_works(visit: Visit) -> None:
    visitor = visit("viewer")
    visitor.open_pictures()
    inside, keyboard = visitor.inside, visitor.page.keyboard
    inside.locator("#images > li").nth(PAGE_SIZE - 2).get_by_role("button").press("Enter")
    inside.locator("#large-next").press("Enter")
    inside.locator("#large-next:disabled").wait_for()
    name = inside.locator("#large-name")
    last = name.inner_text()
    keyboard.press("ArrowLeft")
    assert name.inner_text() != last
