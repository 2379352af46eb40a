"""A run's pictures: S3's own, by a link that is good for a minute; the API server's where no browser gets to S3.

A picture is asked for by its line in the run's journal, never by a key.
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

_LINK_SECONDS = 60
#: AWS's own, in each partition that the internet reaches.
_DOMAINS = (".amazonaws.com", ".amazonaws.com.cn", ".amazonaws.eu")
#: Of a picture that goes through the API server, in pieces. AWS: the largest image that a model takes has 25 MB
#: (a SageMaker endpoint); one that was rejected for its size may be a little larger.
_MOST_BYTES = 32 * 1024 * 1024
_CHUNK = 256 * 1024
_BEGINNINGS = {b"\x89PNG\r\n\x1a\n": "image/png", b"\xff\xd8\xff": "image/jpeg"}
_SUFFIXES = {"png": "image/png", "jpg": "image/jpeg", "jpeg": "image/jpeg"}
#: What a browser keeps is for whom it was shown to: not for who logs in next.
_OF_A_LOGIN = {"Vary": "Cookie, Authorization"}
#: A browser may keep what it has been shown for so long: the bytes under a key never change.
_KEPT = {"Cache-Control": "private, max-age=300", "Content-Disposition": "inline", **_OF_A_LOGIN}


@router.get("/picture")
def picture(run_id: RunId, image: PositionText, settings: SettingsDep) -> Response:
    """A picture of the run."""
    found = find_image(settings, run_id, image)
    if not found["is_picture"]:
        raise HTTPException(404, "This line of the journal names no picture of the pipeline's.")
    links = clients.link_client(settings)
    with said_in_words(final_bucket(settings), READ_FINAL):
        if reaches_browsers(links):
            headers = {"Cache-Control": f"private, max-age={_LINK_SECONDS - 15}", **_OF_A_LOGIN}
            return RedirectResponse(_link(links, settings.final_bucket, found["key"]), 302, headers)
        try:
            return _through(clients.s3_client(settings), settings.final_bucket, found["key"])
        except GoneError:
            raise HTTPException(404, "This picture is not in the final bucket any more.") from None


def reaches_browsers(s3: S3Client) -> bool:
    """Whether a browser can be sent to where this client goes: AWS itself, not an endpoint of somebody's network."""
    host = urlsplit(s3.meta.endpoint_url).hostname or ""
    return host.endswith(_DOMAINS) and ".vpce." not in host


def pictures_from(dag_id: str, airflow: Airflow) -> str | None:
    """The origin that a run's pictures come from; None: the API server's own, or something is wrong."""
    try:
        settings = settings_of(pipeline_of(dag_id, airflow))
        links = clients.link_client(settings)
        link = urlsplit(_link(links, settings.final_bucket, "a")) if reaches_browsers(links) else None
    except (HTTPException, *AWS_ERRORS):  # the page's script sees it in the next answer
        return None
    return f"{link.scheme}://{link.netloc}" if link else None


def _link(s3: S3Client, bucket: str, key: str) -> str:
    """Whatever it really is, it comes as a picture or as nothing that a browser shows."""
    content_type = _SUFFIXES.get(key.rpartition(".")[2].lower(), "application/octet-stream")
    params = {"Bucket": bucket, "Key": key, "ResponseContentType": content_type}
    return s3.generate_presigned_url("get_object", Params=params, ExpiresIn=_LINK_SECONDS)


def _through(s3: S3Client, bucket: str, key: str) -> Response:
    with said_in_words(f"The picture {key!r}", READ_FINAL):
        answer = s3.get_object(Bucket=bucket, Key=key)
        length, body = answer["ContentLength"], answer["Body"]
        if length > _MOST_BYTES:
            body.close()
            raise HTTPException(413, f"The picture has {length:,} bytes; {_MOST_BYTES:,} at most are shown here.")
        first = body.read(_CHUNK)
    content_type = next((kind for begin, kind in _BEGINNINGS.items() if first.startswith(begin)), None)
    if content_type is None:
        body.close()
        return Response(
            status_code=204
        )  # rejected for that very reason: nothing of it can be shown, and nothing is wrong
    headers = {**_KEPT, "Content-Length": str(length)}
    return StreamingResponse(_chunks(first, body), headers=headers, media_type=content_type)


def _chunks(first: bytes, body: Any) -> Iterator[bytes]:
    with body:
        yield first
        yield from body.iter_chunks(_CHUNK)
