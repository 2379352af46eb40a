"""The time until a run's pictures are on the screen of a real browser, and the API server's memory for them.

Both must not depend on the number of pictures.
"""

from __future__ import annotations

import json
import statistics
import time
from typing import Any
from urllib.parse import quote

import requests

from bench.measured_world import DAG_ID, MeasuredWorld
from bench.measures import Measure, at_most
from bench.usage import resident_bytes
from label_detection_core.drain.journal import run_prefix
from label_detection_core.labelling.keys import document_key, final_key
from label_detection_core.queue.messages import ImageRef
from label_detection_core.stored import to_json
from sandbox.chromium import chromium

IMAGES = (50, 50_000)
#: Lines in one part of the journal, as the drain writes it.
_LINES = 200
#: A label that only the last image has.
_RARE = "rare"
_TIMES = 5
#: Each request takes some ten milliseconds. With many of them, other work of the machine disturbs only a few.
_DATA_TIMES = 25
#: Images that exist with their documents: on the first page, and on all other pages together.
_FIRST, _OTHERS = 24, 50
#: The largest number of images that a request may ask for.
_MOST = 100


def measure(place: MeasuredWorld, images: int) -> dict[str, Any]:
    """Measure the pages of a run of `images` images.

    Seconds to the first card on the screen, to the data of a page, and for a search; and the API server's memory in
    bytes before and after.
    """
    run_id = f"bench__{images}"
    _write_journal(place, run_id, images)
    server = place.world.processes["api-server"].pid
    before = resident_bytes(server)
    pages = f"{place.world.url}/label-detection/runs/{DAG_ID}"
    cards = []
    with chromium() as browser:
        for _ in range(_TIMES + 1):
            page = browser.new_page()
            begun = time.monotonic()
            page.goto(f"{pages}?run_id={quote(run_id)}", wait_until="commit")
            page.locator("#images > li").first.wait_for()
            cards.append(time.monotonic() - begun)
            page.close()
    data = [_ask(f"{pages}/images", run_id)[1] for _ in range(_DATA_TIMES)]
    searched, requested = _search(f"{pages}/images", run_id)
    opened = _open(pages, run_id, _turn(f"{pages}/images", run_id, images)[:: max(images // _OTHERS, 1)])
    # The first page is left out: it includes the modules that the API server loads once.
    facts = {"images": images, "first_card": statistics.median(cards[1:]), "data": statistics.median(data)}
    facts |= {"search": searched, "search_requests": requested, "opened": opened}
    return facts | {"memory_before": before, "memory": resident_bytes(server)}


def rows(samples: list[dict[str, Any]]) -> list[Measure]:
    """The table's rows: the large run compared with the small one."""
    if not samples:
        return []
    small, large = ([sample for sample in samples if sample["images"] == images] for images in IMAGES)
    against = f"the run of {IMAGES[0]} images"
    alone = f"{against}; the page without Airflow's frame"
    part, size = "pages", f"{IMAGES[1]:,} images"
    found = []
    for name, what in (("first_card", "from the address to the first picture's card"), ("data", "data of one page")):
        times = tuple(sample[name] for sample in large)
        ratios = tuple(one[name] / other[name] for one, other in zip(large, small, strict=False))
        found += [
            Measure(
                part, f"{size}: {what}", times, "s", *((alone, at_most(1)) if name == "first_card" else (against,))
            ),
            Measure(part, f"{size}: {what}, divided by that at {IMAGES[0]}", ratios, "", against, at_most(1.5)),
        ]
    searches = tuple(sample["search"] for sample in large)
    requests_made = statistics.median(sample["search_requests"] for sample in large)
    found.append(
        Measure(part, f"{size}: search until the last image is found", searches, "s", f"{requests_made:.0f} requests")
    )
    return [*found, *_memory_rows(part, small, large)]


def _memory_rows(part: str, small: list[dict[str, Any]], large: list[dict[str, Any]]) -> list[Measure]:
    """The rows for memory. Only the first small run counts: the later ones follow a large run in one API server."""
    every = "resident memory of all its processes"
    first = small[0]
    before, after, later = first["memory_before"], first["memory"], [sample["memory"] for sample in large]
    what = f"API server's memory after {IMAGES[1]:,} images"
    return [
        Measure(part, f"API server's memory before {IMAGES[0]} images", (before / 1e6,), "MB", every),
        Measure(part, f"API server's memory after {IMAGES[0]} images", (after / 1e6,), "MB", every),
        Measure(part, what, tuple(size / 1e6 for size in later), "MB", every),
        Measure(
            part,
            f"{what}, divided by that after {IMAGES[0]}",
            tuple(size / after for size in later),
            "",
            "1: no growth",
            at_most(1.1),
        ),
    ]


def _write_journal(place: MeasuredWorld, run_id: str, images: int) -> None:
    bucket = place.world.setting("final_bucket")
    lines = [json.dumps(_line(number, images)) for number in range(images)]
    s3 = place.world.s3
    for part, first in enumerate(range(0, images, _LINES)):
        key = f"{run_prefix(run_id)}images/000-0123abcd-{part:06d}.jsonl"
        s3.put_object(Bucket=bucket, Key=key, Body="\n".join(lines[first : first + _LINES]).encode())
    for number in {*range(min(_FIRST, images)), *range(0, images, max(images // _OTHERS, 1))}:
        key, document = json.loads(lines[number])["image"], to_json({"labels": json.loads(lines[number])["labels"]})
        s3.put_object(Bucket=bucket, Key=key, Body=place.picture)
        s3.put_object(Bucket=bucket, Key=document_key(key), Body=document)


def _line(number: int, images: int) -> dict[str, Any]:
    image = ImageRef("source", f"line 3/{number}.jpg", f"{number:032x}")
    box = {"BoundingBox": {"Left": 0.1, "Top": 0.2, "Width": 0.3, "Height": 0.4}}
    name = _RARE if number == images - 1 else "scratch"
    return {
        "outcome": "labelled",
        "source": {"bucket": image.bucket, "key": image.key, "etag": image.etag},
        "image": final_key(image),
        "labels": [{"Name": name, "Confidence": 97.1, "Geometry": box}],
        "anomaly": None,
        "error": None,
        "reason": None,
        "at": "2026-11-22T06:00:00Z",
    }


def _ask(url: str, run_id: str, **params: str) -> tuple[Any, float]:
    with requests.Session() as session:
        session.trust_env = False
        answer = session.get(url, params={"run_id": run_id, **params}, timeout=60)
    answer.raise_for_status()
    return answer.json(), answer.elapsed.total_seconds()


def _turn(url: str, run_id: str, images: int) -> list[str]:
    """Open all pages; returns the ids of their images."""
    found: list[str] = []
    cursor = ""
    while True:
        page, _ = _ask(url, run_id, size=str(_MOST), **({"cursor": cursor} if cursor else {}))
        found += [image["id"] for image in page["images"]]
        if not page["next"]:
            break
        cursor = page["next"]
    if len(found) != images:
        raise RuntimeError(f"the pages of {run_id} have {len(found)} images, not {images}")
    return found


def _open(pages: str, run_id: str, ids: list[str]) -> int:
    """Open the documents and pictures of these images; returns the number of images."""
    with requests.Session() as session:
        session.trust_env = False
        for image in ids:
            params = {"run_id": run_id, "image": image}
            found = session.get(f"{pages}/image", params=params, timeout=60).json()
            picture = session.get(f"{pages}/picture", params=params, timeout=60)
            if not found["document"] or picture.headers.get("Content-Type") != "image/jpeg":
                raise RuntimeError(f"{image} of {run_id} has no document or no picture")
    return len(ids)


def _search(url: str, run_id: str) -> tuple[float, int]:
    """Find the last image by its label; returns the seconds and the number of requests."""
    seconds, asked, cursor = 0.0, 0, ""
    while True:
        page, took = _ask(url, run_id, label=_RARE, **({"cursor": cursor} if cursor else {}))
        seconds, asked = seconds + took, asked + 1
        if page["images"]:
            return seconds, asked
        cursor = page["next"]
