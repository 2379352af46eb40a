"""Keys that an attacker chooses: none leaves its place, and none overwrites what belongs to another."""

from __future__ import annotations

import logging
import re
from itertools import product

import pytest

from label_detection_core.drain.journal import read_lines
from label_detection_core.drain.message_worker import RefusedError, Tally
from label_detection_core.labelling.keys import REJECTED, document_key, final_key, rejected_message_key
from label_detection_core.queue.messages import ImageRef
from tests.conftest import Aws
from tests.core.conftest import RUN, MakeDrain
from tests.core.images import TEXT, outcomes, upload
from tests.core.test_backfill import HARD_KEYS

#: Keys under the final bucket's own folders, which have their own readers and life-cycle rules.
OF_THE_BUCKET = ["runs/r/report.json", "rejected/a.png", "reviews/a.png/1.json", "exports/e/a.png", "_/runs/a.png"]
STRANGE = [
    *HARD_KEYS,
    "..",
    ".",
    "/",
    "//a.png",
    "/a.png",
    "a/../../b.png",
    "..\\..\\b.png",
    "\u202egnp.exe.png",
    "\x1b[2J\x1b]0;title\x07.png",
    "%00.png",
    "a?versionId=1.png",
    "a#b.png",
    "a\r\nx-amz-acl: public-read\r\n\r\n.png",
    "-",
    "x" * 1024,
    "x." + "y" * 1022,
    "/" * 1024,
    *OF_THE_BUCKET,
]


def all_objects(aws: Aws) -> dict[str, bytes]:
    return {key: aws.read(key) for key in aws.keys(aws.settings.final_bucket)}


@pytest.mark.parametrize("good", [True, False], ids=["labelled", "rejected"])
def test_an_image_with_any_key_has_its_outcome_in_its_own_place(
    aws: Aws, make_drain: MakeDrain, picture: bytes, good: bool
) -> None:
    images = [upload(aws, key, (picture if good else TEXT) + key.encode()) for key in STRANGE]
    make_drain().run()
    outcome, prefix = ("labelled", "") if good else ("rejected", REJECTED)
    assert [outcomes(aws, image) for image in images] == [[outcome]] * len(images)
    finals = [final_key(image, prefix) for image in images]
    assert sorted(aws.final_keys()) == sorted([*finals, *map(document_key, finals)])
    aside = [final for final in finals if final.startswith(f"{prefix}_/")]
    assert [image.key for image, final in zip(images, finals, strict=True) if final in aside] == OF_THE_BUCKET
    journal = [key for key in aws.keys(aws.settings.final_bucket) if key.startswith("runs/")]
    assert [key for key in journal if not OTHERS.fullmatch(key)] == []


@pytest.mark.parametrize("body", [None, TEXT, b'{"schema": "label-detection/1", "labels": []}'], ids=repr)
def test_no_image_overwrites_what_belongs_to_another(
    aws: Aws, make_drain: MakeDrain, picture: bytes, body: bytes | None
) -> None:
    first = [upload(aws, "a.png", picture), upload(aws, "bad.png", TEXT), upload(aws, "deep/" * 203 + "a.png", picture)]
    aws.sqs.send_message(QueueUrl=aws.settings.queue_url, MessageBody="no event")
    make_drain().run()
    for name in ("report.json", "report.html", "backfill/00000.jsonl", "backfill/00000.sent.json"):
        aws.s3.put_object(Bucket=aws.settings.final_bucket, Key=f"runs/{RUN.run_id}/{name}", Body=b"a run's own")
    before = all_objects(aws)
    assert len(before) == 2 * 3 + 1 + 1 + 4
    keys = {f"{prefix}{key}" for prefix in ("", REJECTED) for key in before} | {
        key.removeprefix(REJECTED).removesuffix(".json") for key in before
    }
    second = [upload(aws, key, body or picture) for key in sorted(keys) if len(key.encode()) <= 1024]
    tally = make_drain().run()
    assert tally == (Tally(rejected=len(second)) if body else Tally(labelled=len(second)))
    now = all_objects(aws)
    assert {key: now.get(key) for key in before} == before
    for image in second:
        final = final_key(image, REJECTED if body else "")
        assert {final, document_key(final)} <= set(now) - set(before)
    assert aws.source_keys() == []
    lines = read_lines(aws.s3, aws.settings.final_bucket, RUN.run_id)
    assert {line["source"]["key"] for line in lines if line["source"]} == {image.key for image in [*first, *second]}


def test_a_key_with_control_characters_writes_no_line_of_its_own_into_the_log(
    aws: Aws, make_drain: MakeDrain, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "label_detection_core")
    forged = "a\n[2026-11-22 06:00:00] ERROR - forged\r\x1b[2K\u202e.png"
    upload(aws, forged, TEXT)
    upload(aws, "gone " + forged, TEXT)
    aws.s3.delete_object(Bucket=aws.settings.source_bucket, Key="gone " + forged)
    make_drain().run()
    said = [record.getMessage() for record in caplog.records if record.name.startswith("label_detection_core")]
    assert len([line for line in said if "forged" in line]) == 2
    assert [line for line in said if not line.isprintable()] == []


def test_an_error_that_names_a_key_with_control_characters_is_one_line(aws: Aws, make_drain: MakeDrain) -> None:
    upload(aws, "a\n[2026-11-22 06:00:00] ERROR - forged\x1b[2K.png", TEXT)
    aws.fail("rekognition", "DetectCustomLabels", status=403, code="AccessDeniedException")
    with pytest.raises(RefusedError, match="forged") as refused:
        make_drain().run()
    assert str(refused.value).isprintable()


def test_keys_that_differ_only_where_they_are_cut_have_outcomes_of_their_own(
    aws: Aws, make_drain: MakeDrain, picture: bytes
) -> None:
    images = [upload(aws, "x" * 1019 + f"{n}.png", picture) for n in range(4)]
    images += [upload(aws, "é" * 509 + f"{n}.png", TEXT) for n in range(10, 14)]
    make_drain().run()
    assert [outcomes(aws, image) for image in images] == [["labelled"]] * 4 + [["rejected"]] * 4
    assert len(aws.final_keys()) == 16


#: Other objects in the final bucket, and their writers.
OTHERS = re.compile(
    r"runs/[^/]+/(report\.(json|html)|images/\d{3,}-[0-9a-f]{8}-\d{6}\.jsonl|backfill/\d{5}(\.jsonl|\.sent\.json))"
    r"|rejected/messages/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\.json"
)


def test_repeatedly_derived_final_keys_never_collide() -> None:
    message = rejected_message_key("5fea7756-0ea4-451a-a703-a558b933e274")
    runs = ("report.json", "report.html", "images/000-deadbeef-000001.jsonl", "backfill/00000.jsonl")
    others = [message, *(f"runs/r/{name}" for name in runs)]
    assert [name for name in others if not OTHERS.fullmatch(name)] == []
    keys = {"a.png", "a", "a-1f0c9a7be2.png.json", "rejected/a.png", "x" * 1024, *others}
    keys |= {re.sub(r"\.[a-z]+$", "", key) for key in others}
    written: dict[str, tuple[str, str]] = {}
    for _generation in range(3):
        made = set()
        for key, etag, prefix in product(sorted(keys), ("e1", "e2"), ("", REJECTED)):
            final = final_key(ImageRef("b", key, etag), prefix)
            for name in (final, document_key(final)):
                assert written.setdefault(name, (key, etag)) == (key, etag), f"{name} is written by two"
                assert not OTHERS.fullmatch(name)
                made.add(name)
        keys |= {name for name in made if len(name.encode()) <= 1024}
        keys |= {name.removeprefix(REJECTED) for name in made}
