"""The page with the pictures of a run, and the data that its script requests."""

from __future__ import annotations

import re
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query
from fastapi.responses import Response

from label_detection.ui.access import MAY_READ_RUNS, RunId, SettingsDep
from label_detection.ui.airflow import AirflowDep
from label_detection.ui.images import (
    READ_FINAL,
    PositionText,
    final_bucket,
    find_image,
    gallery,
    position,
    read_json,
    read_object,
    read_report,
)
from label_detection.ui.pictures import pictures_from
from label_detection.ui.policy import REPORT_POLICY
from label_detection.ui.responses import GoneError, UnreadableError, data, page, said_in_words
from label_detection_core.drain.journal import run_prefix
from label_detection_core.labelling.keys import document_key, rejected_message_key
from label_detection_core.run.gallery import Show, Wanted

router = APIRouter(prefix="/runs/{dag_id}", dependencies=[MAY_READ_RUNS])
#: Reason of a journal line about a message that is kept in the final bucket.
_MESSAGE = re.compile(r"message (?P<id>[\w-]{1,100})( is kept)?", re.ASCII)
#: Why an image has no document, by its outcome. Other outcomes have a default text.
_NO_DOCUMENT = {
    "ignored": "An ignored picture or message has no document.",
    "unreadable": "There is no document: S3 did not let this pipeline read the object. Its message is kept under "
    "rejected/messages/ in the final bucket, or in the dead-letter queue.",
}
#: Parts of the report that the head of the page shows.
_SHORT = ("images", "model", "problems", "warnings")
#: Labels that the filter proposes at most, the most frequent ones.
_PROPOSED = 200


@router.get("")
def gallery_page(dag_id: str, airflow: AirflowDep) -> Response:
    """The HTML page. It loads even when something is wrong; its script then shows the error."""
    return page("gallery.html", pictures_from(dag_id, airflow))


@router.get("/images")
def images(
    run_id: RunId,
    settings: SettingsDep,
    cursor: Annotated[str | None, Query(max_length=60)] = None,
    show: Show = Show.ALL,
    label: Annotated[str | None, Query(max_length=1000)] = None,
    least: Annotated[float, Query(ge=0, le=100)] = 0,
    most: Annotated[float, Query(ge=0, le=100)] = 100,
    size: Annotated[int, Query(ge=1, le=100)] = 24,
) -> Response:
    """One page of images. `next`: the cursor of the next page; None: this is the last one."""
    begin = position(cursor) if cursor else None
    try:
        with said_in_words(final_bucket(settings), READ_FINAL):
            found = gallery(settings, run_id).page(Wanted(show, label or None, least, most), begin, size)
    except GoneError:
        raise HTTPException(
            404, "This page begins in a part of the journal that was deleted. Go to the first page."
        ) from None
    answer = {"images": found.images, "next": str(found.next) if found.next else None}
    return data(answer | {"lines": found.lines, "unreadable": found.unreadable})


@router.get("/image")
def image(run_id: RunId, image: PositionText, settings: SettingsDep) -> Response:
    """One image with its document. `problem`: why there is no document, or None."""
    found = find_image(settings, run_id, image)
    document: Any = None
    problem: str | None = _NO_DOCUMENT.get(
        found["outcome"], "The final bucket has no document for this line of the journal. Was it deleted?"
    )
    if key := _document_of(found):
        try:
            document, problem = read_json(settings, key), None
        except UnreadableError as error:
            problem = str(error.detail)
        except GoneError:
            pass  # `problem` has the reason
    return data({"image": found, "document": document, "problem": problem})


def _document_of(image: dict[str, Any]) -> str | None:
    """The key of the document of an image, or of a kept message; None: there is no document."""
    if image["key"]:
        return document_key(image["key"]) if image["is_picture"] else None
    message = _MESSAGE.fullmatch(str(image["reason"])) if image["outcome"] != "ignored" else None
    return rejected_message_key(message["id"]) if message else None


@router.get("/summary")
def summary(run_id: RunId, settings: SettingsDep) -> Response:
    """A short form of the run's report; null while there is no report."""
    try:
        report = read_report(settings, run_id)
    except GoneError:
        return data(None)
    return data(report.head(*_SHORT) | {"labels": report.most_frequent(_PROPOSED)})


@router.get("/report")
def report_page(run_id: RunId, settings: SettingsDep) -> Response:
    """The run's report as HTML. Its headers forbid it to load files or run scripts."""
    try:
        body = read_object(settings, f"{run_prefix(run_id)}report.html")
    except GoneError:
        raise HTTPException(404, "This run has no report, or has none yet: its task write_report makes it.") from None
    return Response(body, media_type="text/html; charset=utf-8", headers={"Content-Security-Policy": REPORT_POLICY})
