"""The pages' scripts in a real browser, without Airflow: what they draw from data, and that text is never markup."""

from __future__ import annotations

import base64
import io
from typing import Any

import pytest
from PIL import ExifTags, Image
from playwright.sync_api import Browser, Page

from label_detection.ui.responses import ASSETS
from tests.security.test_pages import MARKUP


@pytest.fixture(scope="module")
def page(chromium_browser: Browser) -> Page:
    page = chromium_browser.new_page()
    for script in ("boxes.js", "plots.js"):
        page.add_script_tag(path=ASSETS / script)
    return page


_PLOT = """
([values, worse]) => {
  const runs = values.map((value, number) => ({value, at: `run ${number}`}));
  const figure = plots.plot("Rejected", runs, (run) => run.value ?? NaN, (value) => value.toFixed(1), worse);
  return {words: figure.querySelector("p").textContent, bars: figure.querySelectorAll("rect.bar").length,
    bad: figure.querySelectorAll("rect.bad").length, label: figure.querySelector("svg").getAttribute("aria-label")};
}
"""


@pytest.mark.parametrize(
    ("values", "worse", "words", "bad"),
    [
        ([], "up", "no runs yet", 0),
        ([1] * 9, "up", "median 1.0 of 9 runs", 0),
        ([1] * 5 + [1.1] * 5, "up", "median of the last 5 runs 1.1, before 1.0 (+10 %)", 0),
        ([1] * 5 + [2] * 5, "up", "median of the last 5 runs 2.0, before 1.0 (+100 %): worse", 5),
        ([1] * 5 + [0.5] * 5, "up", "median of the last 5 runs 0.5, before 1.0 (−50 %)", 0),
        ([1] * 5 + [0.5] * 5, "down", "median of the last 5 runs 0.5, before 1.0 (−50 %): worse", 5),
        ([1] * 5 + [9] * 5, None, "median of the last 5 runs 9.0, before 1.0 (+800 %)", 0),
        ([0] * 5 + [1] * 5, "up", "median of the last 5 runs 1.0, before 0.0 (was 0): worse", 5),
        ([1, 1, 1, 1, 1, 9, 1, 1, 1, 1], "up", "median of the last 5 runs 1.0, before 1.0 (+0 %)", 0),
    ],
    ids=["none", "few", "a little", "worse up", "better", "worse down", "neither", "from zero", "one outlier"],
)
def test_a_plots_text_tells_whether_the_number_gets_worse(
    page: Page, values: list[float], worse: str | None, words: str, bad: int
) -> None:
    found = page.evaluate(_PLOT, [values, worse])
    assert (found["words"], found["bars"], found["bad"]) == (words, len(values), bad)
    assert words in found["label"], "a screen reader must read it too"


def test_a_run_without_a_number_has_no_bar(page: Page) -> None:
    found = page.evaluate(_PLOT, [[1, None, 3], "up"])
    assert (found["bars"], found["words"]) == (2, "median 2.0 of 2 runs")


def test_the_number_beside_a_plot_is_the_last_runs_or_not_known(page: Page) -> None:
    assert page.evaluate(_PLOT, [[1, 3], "up"])["label"].startswith("Rejected: last 3.0;")
    assert page.evaluate(_PLOT, [[1, None], "up"])["label"].startswith("Rejected: last –;")


_CARD = """
([text, box]) => {
  const label = {name: text, confidence: 91.26, box};
  const rejected = {outcome: "rejected", source: text, error: {code: text, message: text}};
  const anomaly = {IsAnomalous: true, Confidence: 1};
  const image = {outcome: "labelled", source: text, key: text, is_picture: true, anomaly};
  const picture = boxes.picture(image, [label], "about:blank", true);
  const words = [boxes.chip(label), boxes.outcome(rejected, []), boxes.anomaly(image)];
  const root = boxes.element("div", {}, [...words, picture]);
  const tags = [...root.querySelectorAll("*")].map((one) => one.localName);
  return {tags, text: root.textContent, alt: root.querySelector("img").alt};
}
"""


@pytest.mark.parametrize("text", MARKUP, ids=ascii)
def test_names_and_keys_are_text(page: Page, text: str) -> None:
    found = page.evaluate(_CARD, [text, [0, 0, 1, 1]])
    harmless = page.evaluate(_CARD, ["harmless", [0, 0, 1, 1]])
    assert found["tags"] == harmless["tags"]
    assert found["text"].count(text) == 3
    assert found["alt"] == f"{text}: {text}, 91.3 %"


_WORDS = """
(image) => {
  const root = boxes.element("div", {}, [boxes.outcome(image, []), boxes.picture(image, [], "about:blank", true)]);
  return {words: root.querySelector(".outcome").textContent, missing: root.querySelector(".missing").textContent,
    heard: boxes.describe(image, []), asked: root.querySelectorAll("img").length,
    bad: root.querySelectorAll(".rejected").length};
}
"""


@pytest.mark.parametrize(
    ("image", "words", "missing", "heard", "bad"),
    [
        (
            {"outcome": "unreadable", "error": {"code": "AccessDenied", "message": "the owner's"}},
            "Refused by S3: AccessDenied: the owner's",
            "Refused by S3: this object stays in the source bucket",
            "a.png: refused by S3, AccessDenied",
            1,
        ),
        (
            {"outcome": "ignored", "ignored": "not an arrival", "reason": "message m: ObjectTagging:Put"},
            "Ignored: not an arrival",
            "Ignored: no picture is kept",
            "a.png: ignored, not an arrival",
            0,
        ),
        (
            {"outcome": "ignored", "ignored": None, "reason": "gone"},
            "Ignored: gone",
            "Ignored: no picture is kept",
            "a.png: ignored, gone",
            0,
        ),
    ],
    ids=["unreadable", "ignored", "ignored, by a version before"],
)
def test_an_image_that_never_reached_the_final_bucket_has_a_reason(
    page: Page, image: dict[str, Any], words: str, missing: str, heard: str, bad: int
) -> None:
    found = page.evaluate(_WORDS, image | {"source": "a.png", "key": None, "is_picture": False, "labels": []})
    assert found == {"words": words, "missing": missing, "heard": heard, "asked": 0, "bad": bad}


_DRAW = """
async ([labels, address]) => {
  const image = {outcome: "labelled", source: "a.jpg", key: "a.jpg", is_picture: true};
  const frame = boxes.picture(image, labels, address, false);
  document.body.replaceChildren(frame);
  const svg = frame.querySelector("svg");
  // A picture may be decoded before it is drawn.
  const until = performance.now() + 10000;
  while (!svg.hasAttribute("viewBox") && performance.now() < until) await new Promise(requestAnimationFrame);
  const sides = (rect) => ["x", "y", "width", "height"].map((side) => Number(rect.getAttribute(side)));
  return {view: svg.getAttribute("viewBox"), boxes: [...svg.querySelectorAll("rect.over")].map(sides)};
}
"""


@pytest.mark.parametrize(
    "box", [None, [0.1, 0.1, None, 0.1], [0.1, 0.1, 0.1], ["0", "0", "1", "1"], [0, 0, -1, 1]], ids=str
)
def test_only_a_valid_box_is_drawn_and_in_the_pictures_own_pixels(page: Page, box: Any) -> None:
    good = {"name": "cat", "confidence": 90, "box": [0.25, 0.5, 0.5, 0.25]}
    found = page.evaluate(_DRAW, [[good, {"name": "dog", "confidence": 90, "box": box}], _picture()])
    assert found == {"view": "0 0 200 100", "boxes": [[50, 50, 100, 25]]}


@pytest.mark.parametrize(
    ("orientation", "view", "box"),
    [
        (1, "0 0 200 100", [50, 50, 100, 25]),
        (3, "0 0 200 100", [50, 50, 100, 25]),
        (6, "0 0 100 200", [25, 100, 50, 50]),
    ],
    ids=["as it is", "upside down", "on its side"],
)
def test_a_box_refers_to_the_picture_as_its_exif_turns_it(
    page: Page, orientation: int, view: str, box: list[float]
) -> None:
    label = {"name": "cat", "confidence": 90, "box": [0.25, 0.5, 0.5, 0.25]}
    assert page.evaluate(_DRAW, [[label], _picture(orientation)]) == {"view": view, "boxes": [box]}


def _picture(orientation: int = 1) -> str:
    """The address of a JPEG with 200 by 100 pixels before its EXIF orientation is applied."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    Image.new("RGB", (200, 100)).save(stored := io.BytesIO(), "JPEG", exif=exif)
    return f"data:image/jpeg;base64,{base64.b64encode(stored.getvalue()).decode()}"
