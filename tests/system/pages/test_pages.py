"""The project's pages in Airflow's UI, on a real Airflow, in a real Chromium."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import requests

from tests.system.pages.conftest import DAG_ID, PAGE_SIZE, Site, Visitor

pytestmark = pytest.mark.system

Visit = Callable[..., Visitor]
MARKUP = "<script>alert(1)</script>.png"
#: Tolerance for a box's edge: pixels, because of its stroke.
CLOSE = 0.02


def expected_boxes(document: dict[str, Any]) -> list[list[float]]:
    boxes = [label["Geometry"]["BoundingBox"] for label in document["labels"] if "Geometry" in label]
    return [[box[side] for side in ("Left", "Top", "Width", "Height")] for box in boxes]


def everything(visitor: Visitor) -> list[dict[str, Any]]:
    """The measured pictures of all gallery pages."""
    found = visitor.wait_for_pictures()
    while visitor.inside.locator("#next").is_enabled():
        first = found[-1]["id"]
        visitor.inside.locator("#next").click()
        visitor.inside.locator(f'#images > li[data-image="{first}"]').wait_for(state="detached")
        found += visitor.wait_for_pictures()
    return found


def test_every_picture_has_its_own_boxes_where_its_document_has_them(site: Site, visit: Visit) -> None:
    visitor = visit("viewer")
    visitor.open_pictures()
    seen = everything(visitor)
    assert {one["name"] for one in seen} == set(site.uploaded)
    documents = site.documents()
    assert sum(len(document["labels"]) for document in documents.values()) > 15, "the model must have found objects"
    for one in seen:
        picture = site.uploaded[one["name"]]
        if not picture.is_good:
            continue
        drawn, expected = one["boxes"], expected_boxes(documents[one["name"]])
        assert drawn == [pytest.approx(box, abs=CLOSE) for box in expected], one["name"]
        token = {"_token": site.world.api.token("viewer", "viewer")}
        answer = requests.get(one["src"], cookies=token, timeout=30)
        assert answer.content == picture.body, f"the shown picture is not the uploaded one: {one['name']}"
        assert answer.headers["Content-Type"] == picture.content_type
    assert visitor.trouble == []


def test_a_name_that_is_markup_is_text(site: Site, visit: Visit) -> None:
    visitor = visit("viewer")
    visitor.open_pictures()
    card = visitor.inside.locator("#images > li").filter(has_text=MARKUP)
    card.get_by_role("button").click()
    dialog = visitor.inside.get_by_role("dialog")
    assert dialog.get_by_role("heading", name=MARKUP).inner_text() == MARKUP
    dialog.locator("#large-document", has_text="alert(1)").wait_for()
    scripts = visitor.inside.locator("script").evaluate_all("scripts => scripts.map(script => script.src)")
    assert all(address.startswith(f"{site.pages}/assets/") for address in scripts)
    assert visitor.trouble == []


def test_each_filter_shows_only_its_images(site: Site, visit: Visit) -> None:
    visitor = visit("viewer")
    visitor.open_pictures()
    inside = visitor.inside
    documents = site.documents()

    def names() -> set[str]:
        inside.locator("#status", has_text="icture").wait_for()
        visitor.page.wait_for_timeout(300)
        return {one["name"] for one in everything(visitor)}

    inside.get_by_role("combobox", name="Show").select_option("rejected")
    assert names() == {key for key, picture in site.uploaded.items() if not picture.is_good}
    inside.get_by_role("combobox", name="Show").select_option("nothing")
    assert names() == {key for key, document in documents.items() if not document["labels"]}
    inside.get_by_role("button", name="Clear").click()
    inside.get_by_role("combobox", name="Label").fill("cat")
    inside.get_by_label("Minimum confidence").fill("90")
    inside.get_by_role("button", name="Filter").click()
    sure = {
        key
        for key, document in documents.items()
        if any(label["Name"] == "cat" and label["Confidence"] >= 90 for label in document["labels"])
    }
    assert sure
    assert names() == sure
    inside.get_by_label("Minimum confidence").fill("")
    inside.get_by_label("Maximum confidence").fill("90")
    inside.get_by_role("button", name="Filter").click()
    assert names() == {
        key
        for key, document in documents.items()
        if any(label["Name"] == "cat" and label["Confidence"] <= 90 for label in document["labels"])
    }
    proposed = inside.locator("#labels option").evaluate_all("options => options.map(option => option.value)")
    assert sorted(proposed) == sorted({label["Name"] for one in documents.values() for label in one["labels"]})
    assert visitor.trouble == []


def test_pages_go_forward_and_back(visit: Visit) -> None:
    visitor = visit("viewer")
    visitor.open_pictures()
    inside = visitor.inside
    first = visitor.wait_for_pictures()
    assert len(first) == PAGE_SIZE
    assert inside.get_by_role("button", name="Previous page").is_disabled()
    inside.get_by_role("button", name="Next page").click()
    inside.locator(f'#images > li[data-image="{first[0]["id"]}"]').wait_for(state="detached")
    second = visitor.wait_for_pictures()
    assert not {one["id"] for one in first} & {one["id"] for one in second}
    inside.get_by_role("button", name="Previous page").click()
    inside.locator(f'#images > li[data-image="{first[0]["id"]}"]').wait_for()
    assert [one["id"] for one in visitor.wait_for_pictures()] == [one["id"] for one in first]


def test_a_picture_opens_and_closes_by_keyboard_and_its_address_leads_there_again(site: Site, visit: Visit) -> None:
    visitor = visit("viewer")
    visitor.open_pictures()
    inside, keyboard = visitor.inside, visitor.page.keyboard
    card = inside.locator("#images > li").nth(2).get_by_role("button")
    name = inside.locator("#images > li .name").nth(2).inner_text()
    card.focus()
    keyboard.press("Enter")
    dialog = inside.get_by_role("dialog")
    assert dialog.locator("#large-name").inner_text() == name
    dialog.locator("#large-document", has_text='"schema": "label-detection/1"').wait_for()
    address = visitor.page.url
    assert "#image=" in address
    keyboard.press("ArrowRight")
    assert dialog.locator("#large-name").inner_text() == inside.locator("#images > li .name").nth(3).inner_text()
    keyboard.press("ArrowLeft")
    keyboard.press("Escape")
    dialog.wait_for(state="hidden")
    assert card.evaluate("button => button === document.activeElement"), "the focus must be back where it was"
    assert "#image=" not in visitor.page.url

    other = visit("viewer", scheme="dark")
    other.open(address)
    other.inside.get_by_role("dialog").locator("#large-name", has_text=name.strip()).wait_for()
    assert visitor.trouble == other.trouble == []


@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_is_wider_than_the_screen(visit: Visit, width: int) -> None:
    visitor = visit("viewer", width, 844)
    visitor.page.goto(visitor.site.gallery())
    visitor.page.locator("#images > li").first.wait_for()
    assert visitor.page.evaluate("document.documentElement.scrollWidth") <= width
    visitor.page.locator("#images > li button").first.click()
    visitor.page.locator("#large-document", has_text="schema").wait_for()
    assert visitor.page.locator("#large").evaluate("dialog => dialog.scrollWidth") <= width
    visitor.page.goto(f"{visitor.site.pages}/overview")
    visitor.page.locator(".plot").first.wait_for()
    assert visitor.page.evaluate("document.documentElement.scrollWidth") <= width
    assert visitor.trouble == []


def test_users_who_may_not_read_the_run_see_neither_page_nor_data_nor_picture(site: Site) -> None:
    image = site.images()[0]["id"]
    of_run = [f"runs/{DAG_ID}{name}" for name in ("", "/images", "/image", "/summary", "/report", "/picture")]
    for path in [*of_run, f"pipelines/{DAG_ID}/runs", f"pipelines/{DAG_ID}/now"]:
        answers = [site.get(path, user, image=image).status_code for user in (None, "nobody", "viewer")]
        assert answers == [401, 403, 200], path
    for path in ("overview", "pipelines", "assets/gallery.js"):
        assert site.get(path).status_code == 401, path
    assert site.get("pipelines", "nobody").json() == []
    assert [one["dag_id"] for one in site.get("pipelines", "viewer").json()] == [DAG_ID]


def test_an_invalid_token_is_refused(site: Site) -> None:
    url = f"{site.pages}/runs/{DAG_ID}/images"
    answer = requests.get(url, params={"run_id": site.run_id}, cookies={"_token": "made.up.token"}, timeout=30)
    assert answer.status_code in {401, 403}


def test_the_page_of_all_runs_shows_the_numbers_of_the_report(site: Site, visit: Visit) -> None:
    visitor = visit("viewer")
    visitor.open(f"{site.world.url}/plugin/label_detection")
    inside = visitor.inside
    inside.locator(".plot").first.wait_for()
    (run,) = site.get(f"pipelines/{DAG_ID}/runs", "viewer").json()["runs"]
    good = sum(picture.is_good for picture in site.uploaded.values())
    assert run["report"]["labelled"] >= good
    assert run["report"]["rejected"] == len(site.uploaded) - good
    row = inside.get_by_role("row").filter(has_text=site.run_id)
    assert f"{run['report']['minutes']:.1f} min" in row.inner_text()
    assert inside.get_by_text("Off: STOPPED").is_visible()
    assert inside.get_by_text("No run holds the model").is_visible()
    assert inside.get_by_role("alert").count() == 0
    assert inside.get_by_text("0 waiting, 0 in flight").is_visible()
    assert inside.get_by_role("img", name="Use of the model").is_visible()
    row.get_by_role("link", name=site.run_id).click()
    inside.locator("#images > li").first.wait_for()
    assert visitor.trouble == []


def test_the_tab_says_what_the_run_cost_and_leads_to_its_report(site: Site, visit: Visit) -> None:
    visitor = visit("viewer")
    visitor.open_pictures()
    inside = visitor.inside
    report = site.get(f"runs/{DAG_ID}/summary", "viewer").json()
    head = inside.locator("#counts", has_text=site.run_id).inner_text()
    for words in (
        f"{report['images']['labelled']} labelled, {report['images']['rejected']} rejected",
        f"model on for {report['model']['minutes']:.1f} min; about {report['model']['cost_usd']:.2f} USD",
        f"{report['model']['cost_per_1000_usd']:.2f} USD per 1,000 pictures",
    ):
        assert words in head
    assert inside.locator("#problems").is_hidden(), "a run without problems must show none"
    inside.get_by_role("link", name="The run's report").click()
    inside.get_by_role("heading", name="Rejections").wait_for()
    assert inside.get_by_text(f"{report['images']['labelled']} labelled").first.is_visible()
    assert visitor.trouble == []


def test_the_problems_of_a_run_are_shown_above_its_pictures(site: Site, visit: Visit) -> None:
    visitor = visit("viewer")
    said = {"images": {}, "model": {}, "labels": [], "problems": [MARKUP], "warnings": ["2 units were refused"]}
    visitor.page.route("**/summary?*", lambda route: route.fulfill(json=said))
    visitor.open_pictures()
    visitor.inside.locator("#problems li").nth(1).wait_for()
    assert visitor.inside.locator("#problems li").all_inner_texts() == [MARKUP, "2 units were refused"]
    assert visitor.trouble == []
