"""Runs over time: what a list or a plot of them takes of each one's `report.json`."""

from __future__ import annotations

from typing import Any

#: Labels of a run, those on most images first.
LABELS = 12


def row(report: dict[str, Any]) -> dict[str, Any]:
    """A run in numbers, of what its report says; None where it says nothing."""
    images, model = report.get("images") or {}, report.get("model") or {}
    labels = sorted((report.get("labels") or {}).items(), key=lambda label: (-label[1], label[0]))
    return {
        "started_at": (report.get("run") or {}).get("started_at"),
        "labelled": images.get("labelled", 0),
        "rejected": images.get("rejected", 0),
        "minutes": model.get("minutes"),
        "cost_usd": model.get("cost_usd"),
        "cost_per_1000_usd": model.get("cost_per_1000_usd"),
        "use": model.get("use"),
        "labels": dict(labels[:LABELS]),
        "problems": len(report.get("problems") or []),
    }
