"""Serves the pictures of a run.

The browser is redirected to S3, with a signed link that is valid for a minute. Where browsers cannot reach S3, the API
server reads the picture and sends it. A request names a picture by its line in the run's journal, never by a key.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from fastapi import APIRouter, HTTPException
from fastapi.responses import RedirectResponse, Response, StreamingResponse

from label_detection.ui import clients
from label_detection.ui.access import MAY_READ_RUNS, RunId, SettingsDep, pipeline_of, settings_of
from label_detection.ui.airflow import Airflow
from label_detection.ui.images import READ_FINAL, PositionText, final_bucket, find_image
from label_detection.ui.responses import GoneError, said_in_words
from label_detection_core.aws_errors import AWS_ERRORS

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


router = APIRouter(prefix="/runs/{dag_id}", dependencies=[MAY_READ_RUNS])

#: Seconds that a signed link is valid.
_LINK_SECONDS = 60
#: Domains of AWS, in each partition that is reachable from the internet.
_DOMAINS = (".amazonaws.com", ".amazonaws.com.cn", ".amazonaws.eu")
#: Bytes of a picture that the API server sends at most. AWS: the largest image that a model accepts has 25 MB (a
#: SageMaker endpoint); one that was rejected for its size may be larger.
_MOST_BYTES = 32 * 1024 * 1024
#: Bytes that the API server reads from S3 at a time.
_CHUNK = 256 * 1024
_BEGINNINGS = {b"\x89PNG\r\n\x1a\n": "image/png", b"\xff\xd8\xff": "image/jpeg"}
_SUFFIXES = {"png": "image/png", "jpg": "image/jpeg", "jpeg": "image/jpeg"}
#: A browser must not show a cached picture to the next user who logs in.
_OF_A_LOGIN = {"Vary": "Cookie, Authorization"}
#: A browser may cache a picture for five minutes: the bytes under a key never change.
_KEPT = {"Cache-Control": "private, max-age=300", "Content-Disposition": "inline", **_OF_A_LOGIN}


@router.get("/picture")
def picture(run_id: RunId, image: PositionText, settings: SettingsDep) -> Response:
    """The picture of a journal line: a redirect to S3, or its bytes.

    :param image: the position of the line.
    """
    found = find_image(settings, run_id, image)
    if not found["is_picture"]:
        raise HTTPException(404, "This line of the journal names no picture of this pipeline.")
    links = clients.link_client(settings)
    with said_in_words(final_bucket(settings), READ_FINAL):
        if reaches_browsers(links):
            headers = {"Cache-Control": f"private, max-age={_LINK_SECONDS - 15}", **_OF_A_LOGIN}
            return RedirectResponse(_link(links, settings.final_bucket, found["key"]), 302, headers)
        try:
            return _through(clients.s3_client(settings), settings.final_bucket, found["key"])
        except GoneError:
            raise HTTPException(404, "This picture is not in the final bucket. Was it deleted?") from None


def reaches_browsers(s3: S3Client) -> bool:
    """Whether a browser can reach this client's endpoint: a public one of AWS, not one in a private network."""
    host = urlsplit(s3.meta.endpoint_url).hostname or ""
    return host.endswith(_DOMAINS) and ".vpce." not in host


def pictures_from(dag_id: str, airflow: Airflow) -> str | None:
    """The origin of a run's pictures in S3; None when the API server sends them, or when it cannot be known."""
    try:
        settings = settings_of(pipeline_of(dag_id, airflow))
        links = clients.link_client(settings)
        link = urlsplit(_link(links, settings.final_bucket, "a")) if reaches_browsers(links) else None
    except (HTTPException, *AWS_ERRORS):  # the page's next request returns the error
        return None
    return f"{link.scheme}://{link.netloc}" if link else None


def _link(s3: S3Client, bucket: str, key: str) -> str:
    """A signed link. It sets the content type by the suffix, so that a browser never runs the object as a page."""
    content_type = _SUFFIXES.get(key.rpartition(".")[2].lower(), "application/octet-stream")
    params = {"Bucket": bucket, "Key": key, "ResponseContentType": content_type}
    return s3.generate_presigned_url("get_object", Params=params, ExpiresIn=_LINK_SECONDS)


def _through(s3: S3Client, bucket: str, key: str) -> Response:
    with said_in_words(f"The picture {key!r}", READ_FINAL):
        answer = s3.get_object(Bucket=bucket, Key=key)
        length, body = answer["ContentLength"], answer["Body"]
        if length > _MOST_BYTES:
            body.close()
            raise HTTPException(413, f"The picture has {length:,} bytes. This page shows at most {_MOST_BYTES:,}.")
        first = body.read(_CHUNK)
    content_type = next((kind for begin, kind in _BEGINNINGS.items() if first.startswith(begin)), None)
    if content_type is None:
        body.close()
        return Response(status_code=204)  # not a PNG or JPEG, and rejected for that: there is nothing to show
    headers = {**_KEPT, "Content-Length": str(length)}
    return StreamingResponse(_chunks(first, body), headers=headers, media_type=content_type)


def _chunks(first: bytes, body: Any) -> Iterator[bytes]:
    with body:
        yield first
        yield from body.iter_chunks(_CHUNK)
