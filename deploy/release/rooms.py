"""Draw the packages and their imports: `python -m deploy.release.rooms` writes `docs/rooms.svg`.

A room is a package or a module directly below `label_detection` or `label_detection_core`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import grimp
import networkx as nx

PROJECT = Path(__file__).resolve().parents[2]
PICTURE = PROJECT / "docs" / "rooms.svg"
#: Each package with its folder.
PACKAGES = {"label_detection": PROJECT / "plugins", "label_detection_core": PROJECT / "include"}
#: The size of a room's box with the space around it.
_WIDTH, _HEIGHT = 150, 26
_STYLE = """<style>
text { font: 12px sans-serif; text-anchor: middle; fill: #111 }
rect { fill: #dbeafe; stroke: #1d4ed8; rx: 5 } rect.label_detection_core { fill: #dcfce7; stroke: #15803d }
line { stroke: #888; stroke-width: 1 }
</style>"""


def arrows() -> nx.DiGraph:
    """A graph with an edge from each room to each room that it imports."""
    imports = grimp.build_graph(*PACKAGES, cache_dir=None)
    found = nx.DiGraph()
    for module in imports.modules:
        for imported in imports.find_modules_directly_imported_by(module):
            if _room(module) != _room(imported):
                found.add_edge(_room(module), _room(imported))
    return found


def lines() -> dict[str, int]:
    """The number of lines of Python in each room."""
    found: dict[str, int] = {}
    for package, folder in PACKAGES.items():
        for file in (folder / package).rglob("*.py"):
            module = ".".join(file.relative_to(folder).with_suffix("").parts).removesuffix(".__init__")
            found[_room(module)] = found.get(_room(module), 0) + len(file.read_text().splitlines())
    return found


def picture() -> str:
    """The graph as SVG; each room is above the rooms that it imports.

    An edge that follows from others is left out: if a imports b, and b imports c, there is no edge from a to c.
    """
    found = nx.transitive_reduction(arrows())
    places = dict(_places(found))
    width = max(x for x, _ in places.values()) + _WIDTH
    height = max(y for _, y in places.values()) + 2 * _HEIGHT
    lines_ = [_line(places[room], places[imported]) for room, imported in sorted(found.edges)]
    boxes = [_box(room, *places[room]) for room in sorted(found)]
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">'
    return "\n".join([head, "<title>Rooms and their imports</title>", _STYLE, *lines_, *boxes, "</svg>", ""])


def _places(found: nx.DiGraph) -> Iterator[tuple[str, tuple[int, int]]]:
    """The centre of each room's box: its row is above all that it imports, its column near what it imports."""
    rank: dict[str, int] = {}
    for room in reversed(list(nx.lexicographical_topological_sort(found))):
        rank[room] = 1 + max((rank[imported] for imported in found.successors(room)), default=-1)
    x: dict[str, float] = {}
    for row in range(max(rank.values()) + 1):
        rooms = [room for room in sorted(rank) if rank[room] == row]
        near = {room: [x[one] for one in found.successors(room)] for room in rooms}
        rooms.sort(key=lambda room: sum(near[room]) / len(near[room]) if near[room] else 0)
        x |= {room: (2 * place + 1) / (2 * len(rooms)) for place, room in enumerate(rooms)}
    most = max(list(rank.values()).count(row) for row in rank.values())
    for room, row in rank.items():
        yield room, (round(x[room] * most * _WIDTH), (max(rank.values()) - row) * 3 * _HEIGHT + _HEIGHT)


def _line(begin: tuple[int, int], end: tuple[int, int]) -> str:
    return f'<line x1="{begin[0]}" y1="{begin[1] + _HEIGHT // 2}" x2="{end[0]}" y2="{end[1] - _HEIGHT // 2}"/>'


def _box(room: str, x: int, y: int) -> str:
    corner = f'x="{x - _WIDTH // 2 + 5}" y="{y - _HEIGHT // 2}" width="{_WIDTH - 10}" height="{_HEIGHT}"'
    return f'<rect class="{_package(room)}" {corner}/><text x="{x}" y="{y + 4}">{room.rpartition(".")[2]}</text>'


def _room(module: str) -> str:
    return ".".join(module.split(".")[:2])


def _package(room: str) -> str:
    return room.partition(".")[0]


if __name__ == "__main__":
    PICTURE.write_text(picture())
