"""The documentation site in a real browser."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from sandbox.environment import PROJECT

PAGES = sorted(path.stem for path in (PROJECT / "docs").glob("*.md"))


@pytest.fixture
def page(chromium_browser: Browser, site: str) -> Iterator[Page]:
    """A page as wide as a phone. A request that leaves the host fails the test."""
    context = chromium_browser.new_context(viewport={"width": 390, "height": 844})
    page = context.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    yield page
    context.close()
    assert [url for url in asked if not url.startswith((site, "data:"))] == []


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_accessible_and_does_not_scroll_sideways(page: Page, site: str, name: str) -> None:
    page.goto(f"{site}/{name}.html")
    violations = Axe().run(page).response["violations"]
    assert {one["id"]: [_node(node) for node in one["nodes"]] for one in violations} == {}
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width <= 390


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ("throttled", "faults"),
        ("left on", "never-on"),
        ("pipelines.yaml", "several-pipelines"),
        ("stop_model", "when-it-is-red"),
    ],
)
def test_the_search_finds_the_page_for_a_term(page: Page, site: str, words: str, name: str) -> None:
    page.goto(f"{site}/search.html?q={words}")
    page.locator("#search-results ul.search li").first.wait_for()
    page.get_by_text(re.compile(r"Search finished|found \d+ page|page\(s\)|pages? match")).first.wait_for()
    found = page.locator("#search-results ul.search li a").evaluate_all("links => links.map(link => link.href)")
    assert any(f"/{name}.html" in link for link in found), found


def _node(node: dict[str, Any]) -> str:
    return f"{node['target']}: {node['failureSummary']}"
