"""Answers of the routes: a page, data, or an error message."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError
from fastapi import HTTPException, Request
from fastapi.exception_handlers import http_exception_handler
from fastapi.responses import FileResponse, HTMLResponse, Response
from starlette.exceptions import HTTPException as StarletteHTTPException

from label_detection.ui.policy import policy
from label_detection_core import aws_errors
from label_detection_core.redaction import shown

ASSETS = Path(__file__).with_name("assets")
_DENIED = {"AccessDenied", "AccessDeniedException", "AccessDeniedFault", "403", "Forbidden"}
_GONE = {"NoSuchKey", "404"}

#: Error messages for people, by status code.
_WORDS = {
    401: "You are not logged in, or your login has expired. Log in to Airflow, then load this page again.",
    403: "You may not read the runs of this DAG. Ask an admin of Airflow for the permission.",
}
_PAGE = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="color-scheme" content="light dark">'
    "<title>Label detection</title><p>{}</p>"
)


class GoneError(Exception):
    """The object does not exist in the bucket."""


class UnreadableError(HTTPException):
    """The object exists, but it is too large, or not in the format that this project writes."""

    def __init__(self, words: str) -> None:
        super().__init__(502, words)


def page(name: str, pictures_from: str | None = None) -> Response:
    """An HTML page of `assets`. It has no data of a run: its script requests them."""
    headers = {"Content-Security-Policy": policy(pictures_from)}
    return FileResponse(ASSETS / name, media_type="text/html; charset=utf-8", headers=headers)


def data(value: Any) -> Response:
    """JSON for a script of a page. It is ASCII, so a lone surrogate in a key cannot make the encoding fail."""
    return Response(json.dumps(value), media_type="application/json")


async def words(request: Request, error: StarletteHTTPException) -> Response:
    """The answer to an error: a page if the browser asks for HTML, as in the frame of Airflow's tab; otherwise JSON."""
    if "text/html" not in request.headers.get("accept", ""):
        return await http_exception_handler(request, error)
    text = _WORDS.get(error.status_code, str(error.detail))
    return HTMLResponse(_PAGE.format(escape(text)), error.status_code, headers=error.headers)


@contextmanager
def said_in_words(what: str, permission: str) -> Iterator[None]:
    """Turn an AWS error into an HTTP error with a message for people.

    :param what: the thing that is read, as the subject of the message.
    :param permission: the permission that reading it needs. `{operation}` stands for the operation that AWS denied.
    :raises GoneError: when an object does not exist.
    :raises HTTPException: 502 for every other AWS error. 403 is only for permissions of Airflow.
    """
    try:
        yield
    except aws_errors.AWS_ERRORS as error:
        code = aws_errors.code(error)
        if isinstance(error, ClientError) and code in _GONE:
            raise GoneError(what) from error
        if code == "NoSuchBucket":
            words = (
                f"{what} cannot be read: there is no such bucket. Was it deleted, or is the option final_bucket wrong?"
            )
        elif code in _DENIED:
            needed = permission.format(operation=getattr(error, "operation_name", ""))
            words = f"{what} cannot be read: AWS denies it. The API server needs {needed}. See docs/permissions.md."
        elif "Credential" in code:
            words = f"{what} cannot be read: the API server has no AWS credentials. See docs/permissions.md."
        else:
            words = f"{what} cannot be read: {code}: {shown(aws_errors.message(error))}"
        raise HTTPException(502, words) from error
