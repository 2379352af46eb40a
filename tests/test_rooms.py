"""How the project is cut: rooms, and which imports which. The rules of single arrows are in pyproject.toml."""

from __future__ import annotations

import networkx as nx

from deploy.release import rooms


def test_no_arrows_between_rooms_run_in_a_circle() -> None:
    assert list(nx.simple_cycles(rooms.arrows())) == []


def test_no_room_has_more_than_a_quarter_of_the_lines() -> None:
    lines = rooms.lines()
    assert lines["label_detection.operators"] > 100, "rooms are not counted"
    assert {room for room, count in lines.items() if count > sum(lines.values()) / 4} == set()


def test_the_picture_in_the_docs_is_that_of_the_imports() -> None:
    drawn = rooms.PICTURE.read_text()
    assert drawn.count("<line") > len(rooms.PACKAGES)
    assert drawn == rooms.picture(), "draw it again: PYTHONPATH=plugins:include python -m deploy.release.rooms"
