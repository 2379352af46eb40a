"""A run's pictures: who may see them, where they come from, and with which content type."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from fastapi.testclient import TestClient

from label_detection.ui import clients, pictures
from tests.conftest import Aws
from tests.plugins.label_detection.ui.conftest import RUN_ID, Run
from tests.plugins.label_detection.ui.known import DAG_ID

PATH = f"/runs/{DAG_ID}/picture"


def ids(browser: TestClient) -> list[str]:
    found = browser.get(f"/runs/{DAG_ID}/images", params={"run_id": RUN_ID}).json()["images"]
    return [image["id"] for image in found]


def get(browser: TestClient, image: str, run_id: str = RUN_ID) -> Any:
    return browser.get(PATH, params={"run_id": run_id, "image": image})


def test_a_picture_goes_through_the_api_server_where_no_browser_gets_to_s3(
    browser: TestClient, images: Run, picture: bytes
) -> None:
    images.labelled("runs/x/<b>&.PNG", picture, [])
    images.rejected("sideways.jpg", b"\xff\xd8\xff\xe0 half a picture")
    images.write()
    labelled, rejected = (get(browser, image) for image in ids(browser))
    assert labelled.content == picture
    assert labelled.headers["content-type"] == "image/png"
    assert labelled.headers["x-content-type-options"] == "nosniff"
    assert int(labelled.headers["content-length"]) == len(picture)
    assert (rejected.status_code, rejected.headers["content-type"]) == (200, "image/jpeg")


@pytest.mark.parametrize("sent_to_s3", [False, True])
def test_a_cached_picture_is_not_shown_to_the_next_user(
    browser: TestClient, images: Run, picture: bytes, sent_to_s3: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    images.labelled("a.png", picture, [])
    images.write()
    monkeypatch.setattr(pictures, "reaches_browsers", lambda s3: sent_to_s3)
    headers = get(browser, *ids(browser)).headers
    assert "private, max-age=" in headers["cache-control"]
    assert headers["vary"] == "Cookie, Authorization"


def test_a_file_that_is_no_picture_is_not_shown_whatever_its_name(browser: TestClient, images: Run) -> None:
    images.rejected("page.png", b"<script>alert(1)</script>")
    images.rejected("empty.png", b"")
    images.write()
    answers = [get(browser, image) for image in ids(browser)]
    assert [(answer.status_code, answer.content) for answer in answers] == [(204, b"")] * 2


def test_a_picture_that_is_gone_or_too_large_has_an_error(
    browser: TestClient, aws: Aws, images: Run, picture: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = images.labelled("a.png", picture, [])
    images.write()
    (image,) = ids(browser)
    monkeypatch.setattr(pictures, "_MOST_BYTES", len(picture) - 1)
    assert get(browser, image).status_code == 413
    aws.s3.delete_object(Bucket=aws.settings.final_bucket, Key=key)
    assert get(browser, image).status_code == 404


@pytest.mark.parametrize("key", [f"runs/{RUN_ID}/report.json", "a.png", "rejected/a.png", "../other/a.png"])
def test_a_journal_that_names_another_key_does_not_make_it_readable(
    browser: TestClient, images: Run, picture: bytes, key: str
) -> None:
    images.named(key)
    images.report(secret=1)
    images.write()
    (image,) = ids(browser)
    assert get(browser, image).status_code == 404


def test_a_picture_of_another_run_is_not_found(browser: TestClient, images: Run, picture: bytes) -> None:
    images.labelled("a.png", picture, [])
    images.write()
    (image,) = ids(browser)
    assert get(browser, image, "another_run").status_code == 404


def test_on_aws_the_browser_is_sent_to_s3_for_a_minute(
    browser: TestClient, aws: Aws, images: Run, picture: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = images.labelled("a.png", picture, [])
    images.rejected("page.html", b"<script>")
    images.write()
    both = ids(browser)
    monkeypatch.setattr(pictures, "reaches_browsers", lambda s3: True)
    answer = get(browser, both[0])
    assert answer.status_code == 302
    link = urlsplit(answer.headers["location"])
    query = parse_qs(link.query)
    assert link.path.endswith(key)
    assert query["X-Amz-Expires"] == ["60"]
    assert query["response-content-type"] == ["image/png"]
    html = parse_qs(urlsplit(get(browser, both[1]).headers["location"]).query)
    assert html["response-content-type"] == ["application/octet-stream"]
    page = browser.get(f"/runs/{DAG_ID}", params={"run_id": RUN_ID})
    assert f"img-src 'self' {link.scheme}://{link.netloc};" in page.headers["content-security-policy"]


@pytest.mark.parametrize(
    ("endpoint", "reaches"),
    [
        ("https://s3.eu-west-1.amazonaws.com", True),
        ("https://s3.amazonaws.com", True),
        ("https://s3.cn-north-1.amazonaws.com.cn", True),
        ("https://bucket.vpce-1a2b.s3.eu-west-1.vpce.amazonaws.com", False),
        ("http://127.0.0.1:5000", False),
        ("https://amazonaws.com.example", False),
    ],
)
def test_how_a_browser_gets_a_picture_depends_on_the_endpoint(aws: Aws, endpoint: str, reaches: bool) -> None:
    s3: Any = clients.s3_client(aws.settings)
    meta = type("Meta", (), {"endpoint_url": endpoint})
    assert pictures.reaches_browsers(type("S3", (), {"meta": meta})) is reaches  # type: ignore[arg-type]
    assert pictures.reaches_browsers(s3) is False
