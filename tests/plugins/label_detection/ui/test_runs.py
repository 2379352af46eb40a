"""A run's images, as the page's script requests them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.conftest import OPTION, Aws
from tests.plugins.label_detection.ui.conftest import RUN_ID, Run
from tests.plugins.label_detection.ui.known import DAG_ID

BASE = f"/runs/{DAG_ID}"
BOX = {"BoundingBox": {"Left": 0.1, "Top": 0.2, "Width": 0.3, "Height": 0.4}}
CAT = {"Name": "cat", "Confidence": 91.5, "Geometry": BOX}
MARKUP = "<script>alert(1)</script>.png"


def ask(browser: TestClient, name: str, **params: object) -> dict:  # type: ignore[type-arg]
    answer = browser.get(f"{BASE}/{name}", params={"run_id": RUN_ID, **params})
    assert answer.status_code == 200, answer.text
    return answer.json()  # type: ignore[no-any-return]


def put(aws: Aws, key: str, content: object) -> None:
    aws.s3.put_object(Bucket=aws.settings.final_bucket, Key=key, Body=json.dumps(content).encode())


def test_images_come_with_their_boxes_and_labels(browser: TestClient, images: Run, picture: bytes) -> None:
    anomaly = {"IsAnomalous": True, "Confidence": 88.0}
    key = images.labelled(MARKUP, picture, [CAT, {"Name": "indoors", "Confidence": 75}], anomaly=anomaly)
    images.rejected("bad.png", b"no picture")
    images.write()
    page = ask(browser, "images")
    first, second = page["images"]
    assert (first["key"], first["source"], first["outcome"], first["anomaly"]) == (key, MARKUP, "labelled", anomaly)
    assert first["labels"] == [
        {"name": "cat", "confidence": 91.5, "box": [0.1, 0.2, 0.3, 0.4]},
        {"name": "indoors", "confidence": 75, "box": None},
    ]
    assert second["error"] == {"code": "BadImage", "message": "no picture"}
    assert (page["next"], page["lines"]) == (None, 2)


def test_pages_are_asked_for_by_cursor(browser: TestClient, images: Run, picture: bytes) -> None:
    for number in range(5):
        images.labelled(f"{number}.png", picture, [CAT])
    images.write()
    page = ask(browser, "images", size=3, label="cat", least=90, show="labelled")
    assert len(page["images"]) == 3
    assert len(ask(browser, "images", size=3, cursor=page["next"])["images"]) == 2


def test_one_image_comes_with_its_document(browser: TestClient, aws: Aws, images: Run, picture: bytes) -> None:
    key = images.labelled("a.png", picture, [CAT])
    images.rejected("bad.png", b"no picture")
    images.write()
    one, bad = ask(browser, "images")["images"]
    found = ask(browser, "image", image=one["id"])
    assert found["image"] == one
    assert found["document"]["labels"] == [CAT]
    assert found["document"]["image"] == {"bucket": aws.settings.final_bucket, "key": key}
    assert (
        ask(browser, "image", image=bad["id"])["problem"]
        == "The final bucket has no document for this line of the journal. Was it deleted?"
    )


@pytest.mark.parametrize(
    ("body", "problem"), [(b"{", "is not JSON"), (b" " * 2_000_001, "is larger than")], ids=["no JSON", "large"]
)
def test_an_image_whose_document_cannot_be_read_is_listed_all_the_same(
    browser: TestClient, aws: Aws, images: Run, picture: bytes, body: bytes, problem: str
) -> None:
    key = images.labelled("a.png", picture, [CAT])
    images.write()
    (one,) = ask(browser, "images")["images"]
    aws.s3.put_object(Bucket=aws.settings.final_bucket, Key=f"{key}.json", Body=body)
    found = ask(browser, "image", image=one["id"])
    assert (found["image"], found["document"]) == (one, None)
    assert problem in found["problem"]


def test_a_rejected_message_comes_with_its_document(browser: TestClient, aws: Aws) -> None:
    line: dict[str, Any] = {
        "outcome": "rejected",
        "source": None,
        "labels": [],
        "reason": "message 12-ab",
        "image": None,
    }
    put(aws, f"runs/{RUN_ID}/images/000-0123abcd-000000.jsonl", line)
    put(aws, "rejected/messages/12-ab.json", {"message": {"id": "12-ab", "body": "?"}})
    (image,) = ask(browser, "images")["images"]
    assert not image["is_picture"]
    assert ask(browser, "image", image=image["id"])["document"] == {"message": {"id": "12-ab", "body": "?"}}


def test_an_object_that_s3_refuses_comes_with_its_message(browser: TestClient, aws: Aws) -> None:
    source = {"bucket": "b", "key": "a.png", "etag": "e"}
    line: dict[str, Any] = {
        "outcome": "unreadable",
        "source": source,
        "labels": [],
        "reason": "message 12-ab is kept",
        "image": None,
    }
    put(aws, f"runs/{RUN_ID}/images/000-0123abcd-000000.jsonl", line)
    (image,) = ask(browser, "images", show="unreadable")["images"]
    assert "Its message is kept" in ask(browser, "image", image=image["id"])["problem"]
    put(aws, "rejected/messages/12-ab.json", {"message": {"id": "12-ab", "body": "?"}})
    assert ask(browser, "image", image=image["id"])["document"] == {"message": {"id": "12-ab", "body": "?"}}


def test_an_ignored_object_comes_with_its_reason_and_without_a_document(
    browser: TestClient, images: Run, aws: Aws
) -> None:
    line: dict[str, Any] = {
        "outcome": "ignored",
        "source": None,
        "labels": [],
        "reason": "message 12-ab",
        "ignored": "test event",
    }
    put(aws, f"runs/{RUN_ID}/images/000-0123abcd-000000.jsonl", line)
    put(aws, "rejected/messages/12-ab.json", {})
    assert ask(browser, "images")["images"] == []
    (image,) = ask(browser, "images", show="ignored")["images"]
    assert (image["source"], image["ignored"]) == ("message 12-ab", "test event")
    found = ask(browser, "image", image=image["id"])
    assert (found["document"], found["problem"]) == (None, "An ignored picture or message has no document.")


def test_a_journal_that_names_another_key_opens_no_document_beside_it(
    browser: TestClient, aws: Aws, images: Run
) -> None:
    images.named("runs/another run/report")
    images.write()
    put(aws, "runs/another run/report.json", {"secret": 1})
    (image,) = ask(browser, "images")["images"]
    found = ask(browser, "image", image=image["id"])
    assert (found["document"], found["problem"]) == (
        None,
        "The final bucket has no document for this line of the journal. Was it deleted?",
    )


def test_the_summary_is_the_reports(browser: TestClient, images: Run) -> None:
    assert ask(browser, "summary") is None
    facts = {"images": {"labelled": 3}, "model": {"cost_usd": 0.07}, "problems": ["stop_model failed"], "warnings": []}
    images.report(**facts, labels={"dog": 1, "cat": 3}, calls={})
    assert ask(browser, "summary") == facts | {"labels": [["cat", 3], ["dog", 1]]}


def test_the_runs_report_is_shown_and_can_neither_load_nor_run_anything(browser: TestClient, aws: Aws) -> None:
    key, page = f"runs/{RUN_ID}/report.html", "<!doctype html><p>é"
    assert (
        browser.get(f"{BASE}/report", params={"run_id": RUN_ID}).json()["detail"].startswith("This run has no report")
    )
    aws.s3.put_object(Bucket=aws.settings.final_bucket, Key=key, Body=page.encode())
    answer = browser.get(f"{BASE}/report", params={"run_id": RUN_ID})
    assert (answer.status_code, answer.text) == (200, page)
    policy = answer.headers["Content-Security-Policy"].split("; ")
    assert {"default-src 'none'", "sandbox", "frame-ancestors 'self'"} <= {*policy}


def test_half_a_surrogate_pair_in_a_key_is_accepted(browser: TestClient, aws: Aws, images: Run) -> None:
    key = f"runs/{RUN_ID}/images/000-0123abcd-000000.jsonl"
    labels = rb'[{"Name": "\udc80", "Confidence": NaN}]'
    line = rb'{"outcome": "rejected", "source": null, "labels": %s, "reason": "\ud800"}' % labels
    aws.s3.put_object(Bucket=aws.settings.final_bucket, Key=key, Body=line)
    (image,) = ask(browser, "images")["images"]
    assert (image["source"], image["labels"][0]["confidence"]) == ("\ud800", 0)


@pytest.mark.parametrize("path", ["image?image=000-0123abcd-000009:0", "image?image=000-0123abcd-000000:99"])
def test_an_image_that_the_journal_does_not_have_is_404(
    browser: TestClient, images: Run, picture: bytes, path: str
) -> None:
    images.labelled("a.png", picture, [])
    images.write()
    answer = browser.get(f"{BASE}/{path}&run_id={RUN_ID.replace('+', '%2B')}")
    assert answer.status_code == 404
    assert answer.json()["detail"] == "This run's journal has no such image."


@pytest.mark.parametrize(
    "params", [{"cursor": "../x:1"}, {"show": "some"}, {"least": "101"}, {"size": "1000"}], ids=str
)
def test_an_invalid_request_is_refused(browser: TestClient, params: dict[str, str]) -> None:
    assert browser.get(f"{BASE}/images", params={"run_id": RUN_ID, **params}).status_code in {400, 422}


def test_a_run_without_a_journal_has_no_images(browser: TestClient) -> None:
    assert ask(browser, "images")["images"] == []


def test_a_missing_bucket_is_named(browser: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"{OPTION}FINAL_BUCKET", "no-such-bucket")
    answer = browser.get(f"{BASE}/images", params={"run_id": RUN_ID})
    assert answer.status_code == 502
    assert answer.json()["detail"].startswith(
        "The final bucket no-such-bucket cannot be read: there is no such bucket."
    )


def test_a_missing_permission_of_the_api_server_is_named(browser: TestClient, aws: Aws) -> None:
    aws.fail("s3", "ListObjectsV2", code="AccessDenied", status=403)
    answer = browser.get(f"{BASE}/images", params={"run_id": RUN_ID})
    assert answer.status_code == 502, "403 is reserved for rights of Airflow's users"
    assert "The API server needs s3:ListBucket and s3:GetObject on it" in answer.json()["detail"]
