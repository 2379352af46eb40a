"""The project's packages, and their imports. pyproject.toml has the rules for single imports."""

from __future__ import annotations

import networkx as nx

from deploy.release import rooms


def test_imports_between_packages_have_no_cycle() -> None:
    assert list(nx.simple_cycles(rooms.arrows())) == []


def test_no_room_has_more_than_a_quarter_of_the_lines() -> None:
    lines = rooms.lines()
    assert lines["label_detection.operators"] > 100, "no package was counted"
    assert {room for room, count in lines.items() if count > sum(lines.values()) / 4} == set()


def test_the_diagram_in_the_docs_matches_the_imports() -> None:
    drawn = rooms.PICTURE.read_text()
    assert drawn.count("<line") > len(rooms.PACKAGES)
    assert drawn == rooms.picture(), (
        "draw the diagram again: PYTHONPATH=plugins:include .venv/bin/python -m deploy.release.rooms"
    )
