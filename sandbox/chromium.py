"""Debian's Chromium under Playwright, for pictures of pages and for tests of them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, sync_playwright

#: Run as root, and without calls to Google's servers.
_ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"]


def installed() -> str | None:
    """The path of Chromium, or None if it is not installed."""
    return shutil.which("chromium")


@contextmanager
def chromium() -> Iterator[Browser]:
    """A running browser, which ends on exit.

    :raises SystemExit: if Chromium is not installed.
    """
    path = installed()
    if not path:
        raise SystemExit("chromium is not installed (Debian, Ubuntu: apt-get install chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=_ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()
