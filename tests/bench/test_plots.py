"""The measurements as diagrams."""

from __future__ import annotations

from pathlib import Path

import cv2

from bench.alone import ADAPTIVE, OURS, PACES
from bench.plots import draw
from tests.bench.test_parts import run_of


def test_a_picture_is_drawn_when_all_its_parts_were_measured(tmp_path: Path) -> None:
    analysis = {"images": 500, "seconds": 5.0, "cpu": 5.0}
    samples = {
        "model": [run_of(1, 1), run_of(100, 1), run_of(2000, 5), run_of(10_000, 5)],
        "per_image": [{"ours": analysis, "theirs": analysis | {"cpu": 300.0}}],
        "scale": [{"images": 200, "peak_bytes": 2e8, "rows": 44}],
        "pace": [{"mode": mode, "rate": PACES[0][0], "throttled": 0.01, "use": 1.0} for mode in (OURS, ADAPTIVE)],
    }
    draw({}, tmp_path)
    assert [*tmp_path.iterdir()] == [], "diagrams from earlier measurements must stay"
    draw(samples, tmp_path)
    for name in ("bench-model.png", "bench-airflow.png"):
        image = cv2.imread(str(tmp_path / name))
        assert image is not None
        height, width, _ = image.shape
        assert width > height > 400
