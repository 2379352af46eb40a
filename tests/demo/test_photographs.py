"""Pictures made of photographs, with the true positions."""

import numpy as np
import pytest

from demo.photographs import BACKGROUNDS, LABELS, Box, background, cut_out, encode, lay_on, second_view


@pytest.mark.parametrize(
    ("one", "other", "iou"),
    [
        pytest.param(Box(0.1, 0.1, 0.4, 0.4), Box(0.1, 0.1, 0.4, 0.4), 1.0, id="the same"),
        pytest.param(Box(0, 0, 0.2, 0.2), Box(0.5, 0.5, 0.2, 0.2), 0.0, id="apart"),
        pytest.param(Box(0, 0, 0.2, 0.2), Box(0.2, 0, 0.2, 0.2), 0.0, id="touching"),
        pytest.param(Box(0, 0, 0.2, 0.2), Box(0.1, 0, 0.2, 0.2), 1 / 3, id="half over each other"),
        pytest.param(Box(0, 0, 1, 1), Box(0.25, 0.25, 0.5, 0.5), 0.25, id="one in the other"),
        pytest.param(Box(0, 0, 0, 0), Box(0, 0, 0, 0), 0.0, id="without area"),
    ],
)
def test_iou(one: Box, other: Box, iou: float) -> None:
    assert one.iou(other) == pytest.approx(iou)
    assert other.iou(one) == pytest.approx(iou)


@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize("seed", range(5))
def test_the_truth_is_the_box_around_the_pixels_that_changed(label: str, seed: int) -> None:
    plain = np.full((480, 640, 3), (255, 0, 255), np.uint8)
    pixels, truth = lay_on(plain, label, (100, 50, 600, 460), np.random.default_rng(seed))
    rows, columns = np.nonzero((pixels != plain).any(axis=2))
    changed = Box(
        columns.min() / 640,
        rows.min() / 480,
        (columns.max() + 1 - columns.min()) / 640,
        (rows.max() + 1 - rows.min()) / 480,
    )
    assert truth.label == label
    assert truth.box.iou(changed) > 0.97


@pytest.mark.parametrize("label", LABELS)
def test_an_object_stays_in_its_part_of_the_picture(label: str) -> None:
    for seed in range(20):
        _, truth = lay_on(np.zeros((300, 900, 3), np.uint8), label, (300, 0, 600, 300), np.random.default_rng(seed))
        assert truth.box.left >= 1 / 3
        assert truth.box.left + truth.box.width <= 2 / 3 + 1e-9
        assert truth.box.top >= 0
        assert truth.box.top + truth.box.height <= 1 + 1e-9


@pytest.mark.parametrize("name", BACKGROUNDS)
def test_a_background_has_the_size_asked_for(name: str) -> None:
    assert background(name, 640, 480).shape == (480, 640, 3)
    assert background(name, 1280, 480).shape == (480, 1280, 3)


def test_the_second_view_is_another_photograph_of_the_motorcycle() -> None:
    pixels, truth = second_view()
    assert truth.label == "motorcycle"
    assert pixels.shape[0] >= 480
    left, top = round(truth.box.left * pixels.shape[1]), round(truth.box.top * pixels.shape[0])
    example = cut_out("motorcycle")
    there = pixels[top : top + example.shape[0], left : left + example.shape[1]]
    likeness = np.corrcoef(there.ravel(), example.ravel())[0, 1]
    assert 0.3 < likeness < 0.99


def test_the_file_type_is_that_of_the_suffix() -> None:
    assert encode(cut_out("cup"), ".png").startswith(b"\x89PNG")
    assert encode(cut_out("cup"), ".jpg").startswith(b"\xff\xd8\xff")
