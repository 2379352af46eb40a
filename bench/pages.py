"""How fast a run's pictures are on the screen, in a real browser, and that it does not matter how many there are."""

from __future__ import annotations

import json
import statistics
import time
from typing import Any
from urllib.parse import quote

import requests

from bench.place import DAG_ID, Place
from bench.rows import Row, at_most
from demo.chromium import chromium
from include.journal import run_prefix
from include.labels import final_key
from include.messages import ImageRef

IMAGES = (50, 50_000)
#: A part of a journal, as the drain writes it.
_LINES = 200
#: The label that one image alone has: the last one.
_RARE = "rare"
_TIMES = 5


def measure(place: Place, images: int) -> dict[str, Any]:
    """A run of so many images: seconds to the first card on the screen, to a page's data, and through all of it."""
    run_id = f"bench__{images}"
    _write_journal(place, run_id, images)
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
    data = [_ask(f"{pages}/images", run_id)[1] for _ in range(_TIMES)]
    searched, requested = _search(f"{pages}/images", run_id)
    # The first page of all has what the API server loads once.
    facts = {"images": images, "first_card": statistics.median(cards[1:]), "data": statistics.median(data)}
    return facts | {"search": searched, "search_requests": requested}


def rows(samples: list[dict[str, Any]]) -> list[Row]:
    """The large run beside the small one."""
    if not samples:
        return []
    small, large = ([sample for sample in samples if sample["images"] == images] for images in IMAGES)
    against = f"a run of {IMAGES[0]} images; Chromium, Airflow's own API server, the embedded AWS"
    part, size = "pages", f"{IMAGES[1]:,} images"
    found = []
    for name, what in (("first_card", "address to first picture's card"), ("data", "a page's data")):
        times = tuple(sample[name] for sample in large)
        ratios = tuple(one[name] / other[name] for one, other in zip(large, small, strict=False))
        found += [
            Row(part, f"{size}: {what}", times, "s", against, at_most(2) if name == "first_card" else None),
            Row(part, f"{size}: {what}, of that at {IMAGES[0]}", ratios, "", against, at_most(1.5)),
        ]
    searches = tuple(sample["search"] for sample in large)
    requests_made = statistics.median(sample["search_requests"] for sample in large)
    found.append(Row(part, f"{size}: filtered down to the last one", searches, "s", f"{requests_made:.0f} requests"))
    return found


def _write_journal(place: Place, run_id: str, images: int) -> None:
    bucket = place.world.setting("final_bucket")
    lines = [json.dumps(_line(number, images)) for number in range(images)]
    s3 = place.world.s3
    for part, first in enumerate(range(0, images, _LINES)):
        key = f"{run_prefix(run_id)}images/000-0123abcd-{part:06d}.jsonl"
        s3.put_object(Bucket=bucket, Key=key, Body="\n".join(lines[first : first + _LINES]).encode())


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


def _search(url: str, run_id: str) -> tuple[float, int]:
    """Seconds and requests until the last image is found by its label."""
    seconds, asked, cursor = 0.0, 0, ""
    while True:
        page, took = _ask(url, run_id, label=_RARE, **({"cursor": cursor} if cursor else {}))
        seconds, asked = seconds + took, asked + 1
        if page["images"]:
            return seconds, asked
        cursor = page["next"]
