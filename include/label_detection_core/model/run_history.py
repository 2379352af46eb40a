"""Runs over time: what a list or a plot of them takes of each one's `report.json`."""

from __future__ import annotations

from typing import Any

#: Labels of a run, those on most images first.
LABELS = 12


def row(report: dict[str, Any]) -> dict[str, Any]:
    """A run in numbers, of what its report says; None where it says nothing, or no number."""
    run, images, model = (_part(report, name) for name in ("run", "images", "model"))
    problems = report.get("problems")
    return {
        "started_at": run.get("started_at"),
        "labelled": _number(images, "labelled") or 0,
        "rejected": _number(images, "rejected") or 0,
        **{name: _number(model, name) for name in ("minutes", "cost_usd", "cost_per_1000_usd", "use")},
        "labels": dict(labels_of(report, LABELS)),
        "problems": len(problems) if isinstance(problems, list) else 0,
    }


def labels_of(report: dict[str, Any], most: int) -> list[tuple[str, float]]:
    """Its labels with their numbers of images, the most frequent first."""
    labels = _part(report, "labels")
    counts = [(name, count) for name in labels if (count := _number(labels, name)) is not None]
    return sorted(counts, key=lambda label: (-label[1], label[0]))[:most]


def _part(report: dict[str, Any], name: str) -> dict[str, Any]:
    found = report.get(name)
    return found if isinstance(found, dict) else {}


def _number(part: dict[str, Any], name: str) -> float | None:
    found = part.get(name)
    return found if isinstance(found, int | float) else None
