"""How the site is built from these pages: `make docs`. Nothing is fetched, neither then nor by a reader's browser."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sphinx.application import Sphinx

_HERE = Path(__file__).parent
_PROJECT = tomllib.loads((_HERE.parent / "pyproject.toml").read_text())["project"]

project = "Label detection on Apache Airflow"
author = "The authors of label detection"
version = release = _PROJECT["version"]
extensions = ["myst_parser", "sphinx_copybutton"]
myst_heading_anchors = 4
html_theme = "furo"
html_title = f"{project} {version}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sphinx = False
html_copy_source = False

#: A folder or a file of the repository that is no page: it is named, and not linked.
_ELSEWHERE = re.compile(r"\[([^\]]*)\]\((\.\./(?!README\.md|CHANGELOG\.md)[^)\s]+)\)")
_SECTION = re.compile(r"^## (.+)$", re.MULTILINE)
_PAGE = re.compile(r"^\* .*?\]\(([a-z-]+)\.md\)(?:, and \[[^\]]*\]\(([a-z-]+)\.md\))?", re.MULTILINE)


def _on_site(_app: Sphinx, name: str, source: list[str]) -> None:
    """A page of the repository as one of the site: links to what is not on it, and the list of pages as its menu."""
    text = _ELSEWHERE.sub(lambda link: link[1] if "`" in link[1] else f"`{link[2].removeprefix('../')}`", source[0])
    text = text.replace("](../README.md)", "](index.md)").replace("](../CHANGELOG.md)", "](changelog.md)")
    if name == "changelog":
        text = (_HERE.parent / "CHANGELOG.md").read_text().replace("](docs/", "](")
    if name == "index":
        text += "".join(_menu(*part) for part in _parts(text))
    source[0] = text


def _parts(text: str) -> list[tuple[str, list[str]]]:
    pieces = _SECTION.split(text)[1:]
    titles, lists = pieces[::2], pieces[1::2]
    pages = [[page for found in _PAGE.findall(one) for page in found if page] for one in lists]
    return list(zip(titles, pages, strict=True))


def _menu(title: str, pages: list[str]) -> str:
    return "\n```{toctree}\n:hidden:\n:caption: " + title + "\n\n" + "\n".join(pages) + "\n```\n"


#: What the theme leaves out for who reads with a keyboard or a screen reader.
_ACCESSIBLE = {
    'class="caption" role="heading"': 'class="caption" role="heading" aria-level="2"',
    "<pre>": '<pre tabindex="0">',
    '<div class="table-wrapper ': '<div tabindex="0" class="table-wrapper ',
    '<th class="head"><p></p></th>': "<td></td>",
    '<aside class="sidebar-drawer"': '<aside aria-label="Pages" class="sidebar-drawer"',
    '<aside class="toc-drawer': '<aside aria-label="On this page" class="toc-drawer',
    'class="toc-tree"': 'class="toc-tree" tabindex="0"',
}


def _make_accessible(app: Sphinx, error: Exception | None) -> None:
    for file in [] if error else Path(app.outdir).glob("*.html"):
        text = file.read_text()
        for found, better in _ACCESSIBLE.items():
            text = text.replace(found, better)
        file.write_text(text)


def setup(app: Sphinx) -> None:
    """Sphinx calls this."""
    app.connect("source-read", _on_site)
    app.connect("build-finished", _make_accessible)
