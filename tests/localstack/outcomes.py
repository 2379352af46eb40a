"""Send all cases, run the pipeline's own tasks until the queue is empty, and find the outcome of each case."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowException

from label_detection import history, leases
from label_detection.operators.images import AnalyseImagesOperator
from label_detection.operators.run import PlanRunOperator
from label_detection_core.drain.message_worker import DrainError
from label_detection_core.labelling.keys import REJECTED, document_key, final_key, rejected_message_key
from label_detection_core.queue.messages import ImageRef
from tests.localstack.cases import Case, Outcome, Trace
from tests.localstack.resources import Resources
from tests.plugins.conftest import Run, Variables

#: The queue must be empty after this number of runs.
_RUNS = 8
_OPTION = "AIRFLOW__LABEL_DETECTION__"


@dataclass(frozen=True)
class Arrived:
    """The outcome of each case, in the order of the cases; `failures`: errors of the tasks."""

    place: Resources
    cases: Sequence[Case]
    traces: Sequence[Trace]
    seen: Sequence[Outcome]
    failures: list[str]
    tallies: list[dict[str, int]] = field(default_factory=list)

    def outcome(self, case: Case) -> Outcome:
        """The outcome of a case."""
        return self.seen[[known.name for known in self.cases].index(case.name)]

    def trace(self, case: Case) -> Trace:
        """Where to find a case."""
        return self.traces[[known.name for known in self.cases].index(case.name)]


def arrive_and_run(place: Resources, cases: Sequence[Case]) -> Arrived:
    """Send all cases, run the pipeline's tasks until the queue is empty, and find the outcomes."""
    place.aws.control("model", "PUT", {"status": "RUNNING"})
    before = place.waiting()
    traces = [case.arrive(place) for case in cases]
    place.wait_for_messages(before + sum(case.messages for case in cases))
    failures: list[str] = []
    tallies: list[dict[str, int]] = []
    with _configured(place):
        for number in range(_RUNS):
            if place.is_empty():
                break
            try:
                tallies.append(_run(number))
            except (AirflowException, DrainError) as error:
                failures.append(str(error))
    looks = _Looks(place)
    return Arrived(place, cases, traces, [looks.outcome(trace) for trace in traces], failures, tallies)


@contextmanager
def _configured(place: Resources) -> Iterator[None]:
    """Set the environment of the tasks, and keep Airflow's Variables in memory."""
    options = {
        "queue_url": place.queue_url,
        "source_bucket": place.source_bucket,
        "final_bucket": place.final_bucket,
        "min_confidence": "70",
        "max_receives": "2",
    }
    environment = {f"{_OPTION}{option.upper()}": value for option, value in options.items()}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**place.aws.environment, **environment}.items():
            patch.setenv(name, value)
        variables = Variables()
        for module in (leases, history):
            patch.setattr(module, "Variable", variables)
        yield


def _run(number: int) -> dict[str, int]:
    """Run `plan_run` and one `analyse_images` without a scheduler, while the model is running."""
    run = Run(run_id=f"outcomes-{number}")
    run.execute(PlanRunOperator(task_id="plan_run"))
    now = datetime.now(UTC)
    run.started(now, now + timedelta(minutes=5))
    analyse = AnalyseImagesOperator(task_id="analyse_images", images_per_second=100)
    tally: dict[str, int] = run.execute(analyse, run.context("analyse_images", map_index=0))
    return tally


class _Looks:
    """Finds outcomes in the buckets; lists each bucket once."""

    def __init__(self, place: Resources) -> None:
        self._place = place
        self._keys: dict[str, dict[str, str]] = {}

    def outcome(self, trace: Trace) -> Outcome:
        kept = rejected_message_key(trace.message_id or "") in self._in(self._place.final_bucket)
        if trace.image is None:
            return Outcome.KEPT if kept else Outcome.NOTHING
        found = {
            outcome
            for outcome, is_there in {
                Outcome.UNREADABLE if kept else Outcome.STAYS: self._in(trace.image.bucket).get(trace.image.key)
                == trace.image.etag,
                Outcome.LABELLED: self._has_pair(trace.image, ""),
                Outcome.REJECTED: self._has_pair(trace.image, REJECTED),
            }.items()
            if is_there
        }
        return Outcome.UNCLEAR if len(found) > 1 else found.pop() if found else Outcome.NOTHING

    def _has_pair(self, image: ImageRef, prefix: str) -> bool:
        """Whether the final bucket has the image and its document. Only one of them is an error."""
        finals, key = self._in(self._place.final_bucket), final_key(image, prefix)
        pair = [name in finals for name in (key, document_key(key))]
        assert len(set(pair)) == 1, f"an image without document, or the reverse: {key}"
        return all(pair)

    def _in(self, bucket: str) -> dict[str, str]:
        """Keys of a bucket, with their eTags."""
        if bucket not in self._keys:
            pages = self._place.aws.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
            found = [entry for page in pages for entry in page.get("Contents", [])]
            self._keys[bucket] = {entry["Key"]: entry["ETag"].strip('"') for entry in found}
        return self._keys[bucket]


def document(place: Resources, image: ImageRef) -> Any:
    """The label document of a labelled image."""
    key = document_key(final_key(image))
    return json.loads(place.aws.s3.get_object(Bucket=place.final_bucket, Key=key)["Body"].read())
