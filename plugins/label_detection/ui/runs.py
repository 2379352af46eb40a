"""A run's images: the page, and the data that its script asks for."""

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
#: What a journal says of a message that is kept.
_MESSAGE = re.compile(r"message (?P<id>[\w-]{1,100})( is kept)?", re.ASCII)
#: Where there is no document, and why.
_NO_DOCUMENT = {
    "ignored": "What is ignored has no document.",
    "unreadable": "S3 refuses this object: it has no document. Its message is kept under rejected/messages/ in the "
    "final bucket, or in the queue's dead-letter queue.",
}
#: What the head of the page has of a report.
_SHORT = ("images", "model", "problems", "warnings")
#: Labels that the filter proposes: those on most images.
_PROPOSED = 200


@router.get("")
def gallery_page(dag_id: str, airflow: AirflowDep) -> Response:
    """The page. Whatever is wrong, it is there, and its script says what."""
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
    """A page of images, and the cursor of the next one: None when there is none."""
    begin = position(cursor) if cursor else None
    try:
        with said_in_words(final_bucket(settings), READ_FINAL):
            found = gallery(settings, run_id).page(Wanted(show, label or None, least, most), begin, size)
    except GoneError:
        raise HTTPException(404, "This page begins in a part of the journal that is gone.") from None
    answer = {"images": found.images, "next": str(found.next) if found.next else None}
    return data(answer | {"lines": found.lines, "unreadable": found.unreadable})


@router.get("/image")
def image(run_id: RunId, image: PositionText, settings: SettingsDep) -> Response:
    """One image with the document that lies beside it, or why there is none."""
    found = find_image(settings, run_id, image)
    document: Any = None
    problem: str | None = _NO_DOCUMENT.get(found["outcome"], "There is no document of it any more.")
    if key := _document_of(found):
        try:
            document, problem = read_json(settings, key), None
        except UnreadableError as error:
            problem = str(error.detail)
        except GoneError:
            pass  # it has been said
    return data({"image": found, "document": document, "problem": problem})


def _document_of(image: dict[str, Any]) -> str | None:
    """The key of an image's document, or of a message's that is kept."""
    if image["key"]:
        return document_key(image["key"]) if image["is_picture"] else None
    message = _MESSAGE.fullmatch(str(image["reason"])) if image["outcome"] != "ignored" else None
    return rejected_message_key(message["id"]) if message else None


@router.get("/summary")
def summary(run_id: RunId, settings: SettingsDep) -> Response:
    """The run in short, as its report has it; nothing before there is one."""
    try:
        report = read_report(settings, run_id)
    except GoneError:
        return data(None)
    return data(report.head(*_SHORT) | {"labels": report.most_frequent(_PROPOSED)})


@router.get("/report")
def report_page(run_id: RunId, settings: SettingsDep) -> Response:
    """The run's report, the page that stands alone: it may load and run nothing."""
    try:
        body = read_object(settings, f"{run_prefix(run_id)}report.html")
    except GoneError:
        raise HTTPException(404, "This run has no report, or not yet: the task write_report makes it.") from None
    return Response(body, media_type="text/html; charset=utf-8", headers={"Content-Security-Policy": REPORT_POLICY})
