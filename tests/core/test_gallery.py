"""A run's images, one page at a time."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from label_detection_core.labelling.keys import REJECTED, final_key
from label_detection_core.queue.messages import ImageRef
from label_detection_core.run.gallery import Gallery, JournalPosition, Page, Parts, Show, Wanted
from tests.conftest import Aws

RUN = "manual__2026-11-22T06:00:00+00:00"


def part(number: int, task: int = 0) -> str:
    return f"{task:03d}-0123abcd-{number:06d}.jsonl"


AT = "2026-11-22T06:00:00Z"


def unseen_line(number: int, outcome: str, at: str = AT, **more: Any) -> dict[str, Any]:
    """A journal line of an image that never reached the final bucket."""
    return image_line(number, outcome, at) | {"image": None, "error": None} | more


def image_line(number: int, outcome: str = "labelled", at: str = AT, **labels: float) -> dict[str, Any]:
    image = ImageRef("source", f"{number}.png", f"e{number}")
    return {
        "outcome": outcome,
        "source": {"bucket": image.bucket, "key": image.key, "etag": image.etag},
        "image": final_key(image, REJECTED if outcome == "rejected" else ""),
        "labels": [{"Name": name, "Confidence": confidence} for name, confidence in labels.items()],
        "error": {"code": "E", "message": "m"} if outcome == "rejected" else None,
        "reason": None,
        "at": at,
    }


def write(aws: Aws, name: str, lines: list[Any]) -> None:
    body = b"\n".join(line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines) + b"\n"
    aws.s3.put_object(Bucket=aws.settings.final_bucket, Key=f"runs/{RUN}/images/{name}", Body=body)


@pytest.fixture
def gallery(aws: Aws) -> Gallery:
    return Gallery(aws.s3, aws.settings.final_bucket, RUN, Parts())


def sources(images: list[dict[str, Any]]) -> list[str]:
    return [image["source"].removesuffix(".png") for image in images]


def test_pages_follow_each_other_without_a_gap_across_parts(aws: Aws, gallery: Gallery) -> None:
    for number in range(4):
        write(aws, part(number), [image_line(number * 5 + line, cat=90) for line in range(5)])
    seen, cursor, sizes = [], None, []
    while True:
        page = gallery.page(Wanted(), cursor, 7)
        seen += sources(page.images)
        sizes.append(len(page.images))
        if not page.next:
            break
        cursor = JournalPosition.parse(str(page.next))
    assert seen == [str(number) for number in range(20)]
    assert sizes == [7, 7, 6]


def page_and_requests(aws: Aws) -> tuple[Page, Counter[str]]:
    """A run's first page, and the requests to S3 for it."""
    asked: Counter[str] = Counter()
    aws.s3.meta.events.register("before-call.s3", lambda model, **_: asked.update([model.name]), unique_id="count")
    try:
        return Gallery(aws.s3, aws.settings.final_bucket, RUN).page(Wanted(), None, 24), asked
    finally:
        aws.s3.meta.events.unregister("before-call.s3", unique_id="count")


def test_the_first_page_reads_one_part_however_long_the_run(aws: Aws) -> None:
    for number in range(40):
        write(aws, part(number), [image_line(number * 30 + line) for line in range(30)])
    page, asked = page_and_requests(aws)
    assert len(page.images) == 24
    assert asked == {"ListObjectsV2": 1, "GetObject": 1}


def test_images_that_somebody_puts_before_the_parts_do_not_cost_a_request_for_each_two(aws: Aws) -> None:
    for number in range(20):
        write(aws, f"000-{number}.jsonl-0123456789", [])
    write(aws, part(0), [image_line(0)])
    page, asked = page_and_requests(aws)
    assert len(page.images) == 1
    assert asked == {"ListObjectsV2": 2, "GetObject": 1}


def test_a_filter_reads_as_much_as_one_request_may_and_returns_a_cursor(aws: Aws, gallery: Gallery) -> None:
    for number in range(10):
        write(aws, part(number), [image_line(number), image_line(100 + number, "rejected")])
    write(aws, part(10), [image_line(200, cat=95)])
    page = gallery.page(Wanted(label="cat"), None, 24, most_parts=4)
    assert (page.images, page.parts, page.lines) == ([], 4, 8)
    assert str(page.next) == "000-0123abcd-000004:0"
    found = []
    while page.next:
        page = gallery.page(Wanted(label="cat"), page.next, 24, most_parts=4)
        found += sources(page.images)
    assert found == ["200"]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (Wanted(), ["1", "2", "3", "4"]),
        (Wanted(Show.LABELLED), ["1", "2", "3"]),
        (Wanted(Show.REJECTED), ["4"]),
        (Wanted(Show.NOTHING), ["3"]),
        (Wanted(label="cat"), ["1"]),
        (Wanted(label="dog"), ["1", "2"]),
        (Wanted(label="dog", least=80), ["2"]),
        (Wanted(least=90), ["1"]),
        (Wanted(least=90.5), []),
        (Wanted(most=85), ["1", "2"]),
        (Wanted(label="cat", least=60, most=89), []),
        (Wanted(Show.REJECTED, "cat"), []),
    ],
    ids=str,
)
def test_filters(aws: Aws, gallery: Gallery, wanted: Wanted, found: list[str]) -> None:
    lines = [image_line(1, cat=90, dog=70), image_line(2, dog=85), image_line(3), image_line(4, "rejected")]
    write(aws, part(0), lines)
    assert sources(gallery.page(wanted, None, 24).images) == found


def test_an_image_delivered_twice_is_there_once_with_its_last_line(aws: Aws, gallery: Gallery) -> None:
    late, early = "2026-11-22T06:05:00Z", "2026-11-22T06:01:00Z"
    write(aws, part(0, task=0), [image_line(1, at=late, cat=99), image_line(2, at=early, cat=80)])
    write(aws, part(0, task=1), [image_line(1, at=early, cat=70), image_line(2, "rejected", at=late)])
    images = gallery.page(Wanted(), None, 24).images
    assert [(image["source"], image["outcome"]) for image in images] == [("1.png", "labelled"), ("2.png", "rejected")]
    assert images[0]["labels"][0]["confidence"] == 99
    assert sources(gallery.page(Wanted(Show.LABELLED), None, 24).images) == ["1"]


DENIED = {"code": "AccessDenied", "message": "no"}


@pytest.mark.parametrize(
    ("show", "found"),
    [
        (Show.ALL, ["1", "2"]),
        (Show.LABELLED, ["1"]),
        (Show.UNREADABLE, ["2"]),
        (Show.IGNORED, ["1", "3", "message m: s3:TestEvent"]),
        (Show.REJECTED, []),
    ],
)
def test_refused_objects_are_among_all_and_ignored_ones_are_shown_on_request(
    aws: Aws, gallery: Gallery, show: Show, found: list[str]
) -> None:
    test = {"source": None, "reason": "message m: s3:TestEvent", "ignored": "test event"}
    lines = [
        image_line(1, cat=90),
        unseen_line(1, "ignored", "2026-11-22T06:05:00Z", ignored="gone"),  # its message was delivered twice
        unseen_line(2, "unreadable", error=DENIED, reason="message m is kept"),
        unseen_line(3, "ignored", ignored="not an arrival"),
        unseen_line(4, "ignored") | test,
    ]
    write(aws, part(0), lines)
    images = gallery.page(Wanted(show), None, 24).images
    assert sources(images) == found
    assert all(image["is_picture"] is (image["outcome"] == "labelled") for image in images)
    assert {image["ignored"] for image in images if image["outcome"] == "ignored"} <= {
        "gone",
        "not an arrival",
        "test event",
    }
    assert [image["error"] for image in images if image["outcome"] == "unreadable"] in ([], [DENIED])


def test_lines_of_no_image_are_left_out_and_broken_ones_counted(aws: Aws, gallery: Gallery) -> None:
    ignored = {**image_line(1), "outcome": "ignored", "image": None}
    message = {**image_line(2, "rejected"), "source": None, "image": None, "reason": "message abc"}
    write(aws, part(0), [ignored, b"{", b"[]", message, b'{"outcome": "labelled"}', image_line(3)])
    page = gallery.page(Wanted(), None, 24)
    assert sources(page.images) == ["message abc", "3"]
    assert [image["is_picture"] for image in page.images] == [False, True]
    assert page.unreadable == 3


EDITED: dict[str, Any] = {
    "labels are numbers": {"labels": [1]},
    "a label without a name": {"labels": [{"Confidence": 90}]},
    "a label's name is a list": {"labels": [{"Name": ["cat"], "Confidence": 90}]},
    "the source is text": {"source": "a.png"},
    "the source is a list": {"source": ["a.png"]},
    "the source has no bucket": {"source": {"key": "a.png"}},
    "the source's key is a list": {"source": {"bucket": "b", "key": ["a.png"], "etag": None}},
    "the image is a number": {"image": 5},
    "the reason is a list": {"source": None, "reason": ["a"]},
    "why it was ignored is a list": {"ignored": ["gone"]},
}


@pytest.mark.parametrize("change", EDITED.values(), ids=EDITED)
def test_a_line_that_somebody_has_edited_is_counted_and_the_others_are_there(
    aws: Aws, gallery: Gallery, change: dict[str, Any]
) -> None:
    write(aws, part(0), [image_line(1, cat=90), {**image_line(2, cat=90), **change}, image_line(3, cat=90)])
    page = gallery.page(Wanted(label="cat", least=80), None, 24)
    assert (sources(page.images), page.unreadable) == (["1", "3"], 1)
    assert gallery.image(JournalPosition(part(0), 1)) is None


def test_a_line_nested_too_deep_is_counted(aws: Aws, gallery: Gallery) -> None:
    write(aws, part(0), [b'{"labels": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", image_line(1)])
    page = gallery.page(Wanted(), None, 24)
    assert (sources(page.images), page.unreadable) == (["1"], 1)


SIDES = {"Left": 0.1, "Top": 0.2, "Width": 0.3, "Height": 0.4}


@pytest.mark.parametrize(
    "geometry",
    [None, "x", [], {}, {"BoundingBox": None}, {"BoundingBox": "x"}, {"BoundingBox": {"Left": 0.1}}]
    + [{"BoundingBox": {**SIDES, "Top": top}} for top in ("0.2", None, float("inf"))],
    ids=str,
)
def test_a_label_with_an_invalid_box_is_shown_without_it(aws: Aws, gallery: Gallery, geometry: Any) -> None:
    line = image_line(1, cat=90)
    line["labels"][0]["Geometry"] = geometry
    write(aws, part(0), [json.dumps(line).replace("Infinity", "1e999").encode()])
    (image,) = gallery.page(Wanted(), None, 24).images
    assert image["labels"] == [{"name": "cat", "confidence": 90, "box": None}]


def test_what_is_shown_of_an_edited_line_is_json_of_the_types_that_a_page_expects(aws: Aws, gallery: Gallery) -> None:
    changed = {"error": "x", "anomaly": "x", "at": 5}
    odd = {**image_line(1, "rejected", cat=-7), **changed}
    write(aws, part(0), [json.dumps(odd).replace("-7", "1e999").encode(), image_line(2, "rejected")])
    first, second = gallery.page(Wanted(), None, 24).images
    assert {name: first[name] for name in changed} == dict.fromkeys(changed)
    assert first["labels"][0]["confidence"] == 0
    assert second["error"] == {"code": "E", "message": "m"}
    json.dumps(first, allow_nan=False)


def test_a_journal_of_a_version_that_put_no_picture_aside_shows_its_pictures(aws: Aws, gallery: Gallery) -> None:
    image = ImageRef("source", "runs/1.png", "e1")
    source = {"bucket": image.bucket, "key": image.key, "etag": image.etag}
    keys = [final_key(image), final_key(image).removeprefix("_/"), "runs/1.png"]
    write(aws, part(0), [{**image_line(n), "source": {**source}, "image": key} for n, key in enumerate(keys)][:2])
    write(aws, part(1), [{**image_line(2), "source": source, "image": keys[2]}])
    shown = [
        gallery.image(JournalPosition(part(0), 0)),
        gallery.image(JournalPosition(part(0), 1)),
        gallery.image(JournalPosition(part(1), 0)),
    ]
    assert [image and image["is_picture"] for image in shown] == [True, True, False]


def test_a_run_without_a_journal_has_an_empty_page(gallery: Gallery) -> None:
    page = gallery.page(Wanted(), None, 24)
    assert (page.images, page.lines, page.next) == ([], 0, None)


def test_only_the_key_derived_from_the_source_is_a_picture(aws: Aws, gallery: Gallery) -> None:
    keys = ["runs/other/report.json", "rejected/1.png", "2.png", "1.png"]
    write(aws, part(0), [{**image_line(number), "image": key} for number, key in enumerate(keys)])
    assert [image["is_picture"] for image in gallery.page(Wanted(), None, 24).images] == [False] * 4


def test_an_image_of_the_runs_folder_is_no_part(aws: Aws, gallery: Gallery) -> None:
    write(aws, "000-0123abcd-000000-1f0c9a7be2.jsonl", [image_line(1)])
    write(aws, f"more/{part(0)}", [image_line(2)])
    assert gallery.page(Wanted(), None, 24).images == []


def test_an_image_is_found_by_its_place(aws: Aws, gallery: Gallery) -> None:
    write(aws, part(3), [image_line(1), image_line(2, cat=90), {**image_line(3), "outcome": "failed"}])
    found = gallery.image(JournalPosition(part(3), 1))
    assert found
    assert (found["id"], found["source"]) == ("000-0123abcd-000003:1", "2.png")
    assert gallery.image(JournalPosition(part(3), 2)) is None
    assert gallery.image(JournalPosition(part(3), 9)) is None


@pytest.mark.parametrize(
    "text", ["", "../../x:0", "000-0123abcd-000000", "000-0123abcd-000000:-1", "000-0123ABCD-000000:1"], ids=ascii
)
def test_an_invalid_place_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a position"):
        JournalPosition.parse(text)


def test_parts_are_kept_up_to_a_size(aws: Aws) -> None:
    for number in range(3):
        write(aws, part(number), [image_line(number)])
    size = len(json.dumps(image_line(0)))
    parts = Parts(most_bytes=2 * size + 10)
    for number in range(3):
        parts.read(aws.s3, aws.settings.final_bucket, RUN, part(number))
    assert [name for _, _, name in parts._kept] == [part(1), part(2)]


def test_a_part_larger_than_the_cache_is_read_once_for_its_pictures(aws: Aws) -> None:
    write(aws, part(0), [image_line(0)])
    parts = Parts(most_bytes=1)
    lines = parts.read(aws.s3, aws.settings.final_bucket, RUN, part(0))
    assert parts.read(aws.s3, aws.settings.final_bucket, RUN, part(0)) is lines
    write(aws, part(1), [image_line(1)])
    parts.read(aws.s3, aws.settings.final_bucket, RUN, part(1))
    assert [name for _, _, name in parts._kept] == [part(1)]
