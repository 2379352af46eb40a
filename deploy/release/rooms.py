"""The picture of rooms in `docs/architecture.md`: `python -m deploy.release.rooms` draws it from the imports.

A room is a package below `label_detection` or `label_detection_core`, or a module beside them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import grimp
import networkx as nx

PROJECT = Path(__file__).resolve().parents[2]
PAGE = PROJECT / "docs" / "architecture.md"
#: Package, and the folder that it is in.
PACKAGES = {"label_detection": PROJECT / "plugins", "label_detection_core": PROJECT / "include"}
_PICTURE = re.compile(r"```mermaid\n.*?```\n", re.DOTALL)


def arrows() -> nx.DiGraph:
    """An arrow from each room to each room that it imports."""
    imports = grimp.build_graph(*PACKAGES, cache_dir=None)
    found = nx.DiGraph()
    for module in imports.modules:
        for imported in imports.find_modules_directly_imported_by(module):
            if _room(module) != _room(imported):
                found.add_edge(_room(module), _room(imported))
    return found


def lines() -> dict[str, int]:
    """Lines of Python in each room."""
    found: dict[str, int] = {}
    for package, folder in PACKAGES.items():
        for file in (folder / package).rglob("*.py"):
            module = ".".join(file.relative_to(folder).with_suffix("").parts).removesuffix(".__init__")
            found[_room(module)] = found.get(_room(module), 0) + len(file.read_text().splitlines())
    return found


def picture() -> str:
    """The arrows in Mermaid, without those that follow from others: if a imports b, and b imports c, not a to c."""
    return "\n".join(["```mermaid", "flowchart TD", *_lines(nx.transitive_reduction(arrows())), "```", ""])


def _lines(found: nx.DiGraph) -> Iterator[str]:
    for package in PACKAGES:
        yield f"  subgraph {package}"
        yield from (f'    {room}["{room.rpartition(".")[2]}"]' for room in sorted(found) if _package(room) == package)
        yield "  end"
    yield from (f"  {room} --> {imported}" for room, imported in sorted(found.edges))


def _room(module: str) -> str:
    return ".".join(module.split(".")[:2])


def _package(room: str) -> str:
    return room.partition(".")[0]


def drawn(page: str) -> str:
    """The page with the picture of now."""
    return _PICTURE.sub(lambda _: picture(), page)


if __name__ == "__main__":
    PAGE.write_text(drawn(PAGE.read_text()))
