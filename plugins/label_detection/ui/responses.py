"""What the pages' routes answer: a page, data, or words about what is wrong."""

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

#: For people: the status says the same to a program.
_WORDS = {
    401: "You are not logged in, or not any more. Log in to Airflow, and load this page again.",
    403: "You may not read the runs of this DAG.",
}
_PAGE = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="color-scheme" content="light dark">'
    "<title>Label detection</title><p>{}</p>"
)


class GoneError(Exception):
    """There is no such object in the bucket."""


class UnreadableError(HTTPException):
    """There is such an object, and it is not as this project wrote it: that object's problem, and no other's."""

    def __init__(self, words: str) -> None:
        super().__init__(502, words)


def page(name: str, pictures_from: str | None = None) -> Response:
    """A page. Nothing of a run is in it: its script asks for that."""
    headers = {"Content-Security-Policy": policy(pictures_from)}
    return FileResponse(ASSETS / name, media_type="text/html; charset=utf-8", headers=headers)


def data(value: Any) -> Response:
    """Data for a page's script, in ASCII: half a surrogate pair of a key goes along as it is."""
    return Response(json.dumps(value), media_type="application/json")


async def words(request: Request, error: StarletteHTTPException) -> Response:
    """An error as a page, where a browser asks for one: it may be all that there is in Airflow's frame."""
    if "text/html" not in request.headers.get("accept", ""):
        return await http_exception_handler(request, error)
    text = _WORDS.get(error.status_code, str(error.detail))
    return HTMLResponse(_PAGE.format(escape(text)), error.status_code, headers=error.headers)


@contextmanager
def said_in_words(what: str, permission: str) -> Iterator[None]:
    """Have AWS's errors said in words: `what` was asked, and the `permission` that it takes.

    `{operation}` in the permission is the operation that AWS denied.

    :raises GoneError: when an object is not there.
    :raises HTTPException: 502 for everything else. 403 is for what Airflow's own users may not.
    """
    try:
        yield
    except aws_errors.AWS_ERRORS as error:
        code = aws_errors.code(error)
        if isinstance(error, ClientError) and code in _GONE:
            raise GoneError(what) from error
        if code == "NoSuchBucket":
            words = f"{what} cannot be read: there is no such bucket. Was it deleted, or is another one configured now?"
        elif code in _DENIED:
            needed = permission.format(operation=getattr(error, "operation_name", ""))
            words = (
                f"{what} cannot be read: AWS does not let the API server. It needs {needed}: see docs/permissions.md."
            )
        elif "Credential" in code:
            words = f"{what} cannot be read: the API server has no AWS credentials. See docs/permissions.md."
        else:
            words = f"{what} cannot be read: {code}: {shown(aws_errors.message(error))}"
        raise HTTPException(502, words) from error
