"""Sends the digest of the day before, once a day. The watchdog's task does this after its work, every ten minutes."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, tzinfo
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow.sdk import Variable
from botocore.exceptions import ClientError

from label_detection import channels, notifications
from label_detection.configuration import watched_pipelines, zone_of
from label_detection.hooks.clients import aws_hook, brief_config
from label_detection_core import aws_errors
from label_detection_core.config.model_types import model_of
from label_detection_core.config.pipeline import Pipeline
from label_detection_core.drain.journal import run_prefix
from label_detection_core.run import digest
from label_detection_core.run.digest import Digest, SentDigest
from label_detection_core.run.notices import NoticeDocument
from label_detection_core.run.stored_report import StoredReport

if TYPE_CHECKING:
    from airflow.sdk import Context
    from mypy_boto3_s3 import S3Client

log = logging.getLogger(__name__)

#: The options that a digest needs, of each pipeline of a watchdog.
OPTIONS = ("digest_at", "timezone", "final_bucket", "model_arn")
#: A watchdog that has worked for longer leaves the digest to its next run: it must end within its time-out.
_WATCHDOG_SECONDS = 600.0
#: Seconds for reading the reports of a pipeline at most.
_READING_SECONDS = 60.0
_READERS = 8


def send_due(context: Context, result: Any = None) -> None:  # noqa: ARG001  # Airflow's signature
    """Send the digests that are due, of all pipelines of the watchdog. An error is only logged."""
    began = context["ti"].start_date or _now()
    try:
        pipelines = watched_pipelines(context.get("dag"))
    except Exception:  # any error: the watchdog has done its work and must stay green
        log.exception("the pipelines cannot be read: no digest is sent")
        return
    for pipeline in pipelines:
        if (_now() - began).total_seconds() > _WATCHDOG_SECONDS:
            return
        try:
            _send_due(pipeline)
        except Exception:  # as above
            log.exception("the digest of %s could not be sent", pipeline.dag_id)


def _send_due(pipeline: Pipeline) -> None:
    options = pipeline.right()
    if not (at := options.get("digest_at")):
        return
    zone = zone_of(options.get("timezone"))
    day = digest.due_day(_now().astimezone(zone), at)
    name = digest.sent_name(pipeline.dag_id)
    text = Variable.get(name, default=None)
    last = SentDigest.parse(text.encode()) if text else None
    if last and last.day >= day:
        return
    found = digest.add_up(day, _reports(options, day, zone)) if last else None
    # The day is kept before the notice is sent: a killed task sends none, which is better than two.
    kept = SentDigest(day=day).model_dump_json()
    Variable.set(name, kept, description="The last day whose digest was sent")
    if Variable.get(name, default=None) != kept:  # Airflow 3.2 only logs a failed write
        raise RuntimeError(f"the variable {name} cannot be written, so no digest is sent: see Airflow's error above")
    if found is None:
        log.info("%s: the first digest is sent at the next %s", pipeline.dag_id, at)
        return
    _send(pipeline.dag_id, options, found)


def _send(dag_id: str, options: dict[str, str], found: Digest) -> None:
    notice = digest.notice_of(found, dag_id)
    notifications.publish(options.get("sns_topic_arn"), options.get("aws_conn_id") or "aws_default", notice)
    document = partial(
        NoticeDocument,
        event="digest",
        subject=notice.subject,
        text=notice.body,
        dag_id=dag_id,
        digest=found.model_dump(mode="json"),
    )
    channels.send(options, notice, document)


def _reports(options: dict[str, str], day: date, zone: tzinfo) -> list[StoredReport]:
    """The reports of the runs that ended on a day. :raises TimeoutError: when reading them takes too long."""
    bucket, end = options.get("final_bucket"), time.monotonic() + _READING_SECONDS
    if not bucket or not options.get("model_arn"):
        raise ValueError("final_bucket or model_arn is missing or wrong")
    region = model_of(options["model_arn"]).region
    s3: S3Client = aws_hook(
        "s3", options.get("aws_conn_id") or "aws_default", region, config=brief_config(_READERS)
    ).conn
    runs = [run_id for run_id in _run_ids(s3, bucket, end) if digest.may_be_of(run_id, day)]
    with ThreadPoolExecutor(_READERS) as readers:
        found = [*readers.map(partial(_report, s3, bucket, end), runs)]
    return [report for report in found if report and digest.is_of(report, day, zone)]


def _run_ids(s3: S3Client, bucket: str, end: float) -> Iterator[str]:
    folder = f"{run_prefix('').rstrip('/')}/"
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=folder, Delimiter="/"):
        _check_time(end)
        for prefix in page.get("CommonPrefixes", []):
            yield prefix["Prefix"].removeprefix(folder).removesuffix("/")


def _report(s3: S3Client, bucket: str, end: float, run_id: str) -> StoredReport | None:
    _check_time(end)
    try:
        answer = s3.get_object(Bucket=bucket, Key=f"{run_prefix(run_id)}report.json")
    except ClientError as error:
        if aws_errors.code(error) in {"NoSuchKey", "404"}:  # the run has not written one
            return None
        raise
    with answer["Body"] as body:
        return StoredReport.parse(body.read())


def _check_time(end: float) -> None:
    if time.monotonic() > end:
        raise TimeoutError(f"the reports could not be read in {_READING_SECONDS:g} seconds")


def _now() -> datetime:
    return datetime.now(UTC)
