"""The audit: finds the outcome of every uploaded version in the buckets and on the queues.

A version is what one upload wrote under a key. Each must have exactly one outcome. The audit reports everything else as
a problem, in one sentence each.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, Any

import jsonschema

from label_detection_core.labelling.documents import SCHEMA_FILE, LabelDocument
from label_detection_core.labelling.keys import REJECTED, final_key
from label_detection_core.labelling.labels import ModelInfo, RunInfo
from label_detection_core.queue import messages
from label_detection_core.queue.messages import ImageRef
from sandbox.waiting import wait_until
from sandbox.world import call_control_page
from tests.system.faults.kind import hook_of, named_as_configured
from tests.system.faults.outcomes.sample_pictures import TEXT, scenes, with_own_bytes

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient

_SCHEMA = jsonschema.Draft202012Validator(json.loads(SCHEMA_FILE.read_text()))


class Outcome(StrEnum):
    """The outcome of a version."""

    LABELLED = "labelled"
    REJECTED = "rejected"
    PENDING = "pending"  # in the source bucket, and a message announces it
    SUPERSEDED = "superseded"  # overwritten before it was read; a later version of its key has an outcome
    DEAD = "dead letter"  # in the source bucket, and its message is in the dead-letter queue
    LOST = "lost"


@dataclass(frozen=True)
class Version:
    """One upload. `scene`: see `sample_pictures`, None for a text; `may`: its allowed outcomes besides pending."""

    key: str
    etag: str
    scene: str | None
    may: frozenset[Outcome]


@dataclass(frozen=True)
class AuditedPipeline:
    """The buckets, queues and model of a pipeline. The clients must be free of faults.

    `aws`: variables that select the embedded AWS and its model. `embedded`: whether the queue is there as well; its
    control page has exact counts. For the queue of another AWS, GetQueueAttributes is used.
    """

    s3: S3Client
    sqs: SQSClient
    aws: Mapping[str, str]
    source_bucket: str
    final_bucket: str
    queue_url: str
    model_arn: str
    min_confidence: float = 70.0
    dead_letters_url: str | None = None
    embedded: bool = True

    @cached_property
    def answers(self) -> dict[str, Any]:
        """The expected content of a label document, by scene. The model must be running on first use."""
        bucket = f"{self.source_bucket}-scenes"
        self.s3.create_bucket(Bucket=bucket)
        found = {}
        with hook_of(self.aws) as hook:
            detect = named_as_configured(hook.detect, self.aws)
            for name, body in scenes().items():
                self.s3.put_object(Bucket=bucket, Key=name, Body=body)
                image = ImageRef(bucket, name)
                answer = LabelDocument.of(
                    image,
                    image,
                    detect(image, self.min_confidence),
                    ModelInfo(self.model_arn, self.min_confidence),
                    RunInfo("", "", 0),
                )
                found[name] = _said(answer.to_dict())
        return found

    def depth(self) -> tuple[int, int]:
        """Number of messages waiting and in flight."""
        return self._depth(self.queue_url)

    def _depth(self, url: str) -> tuple[int, int]:
        if self.embedded:
            page = f"queues/{url.rpartition('/')[2]}"
            queue = call_control_page(self.aws["AWS_ENDPOINT_URL"], page)
            return queue["visible"], queue["in_flight"]
        names: Any = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        answer: Any = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
        return int(answer[names[0]]), int(answer[names[1]])

    def settle(self) -> None:
        """Make GetQueueAttributes report the current counts."""
        if self.embedded:
            call_control_page(self.aws["AWS_ENDPOINT_URL"], "queues", "DELETE")

    def wait_until_visible(self, seconds: float = 90) -> None:
        """Wait until the messages that killed consumers held are visible again."""
        wait_until(lambda: self.depth()[1] == 0, seconds, "no message in flight", every=0.2)

    def objects(self, bucket: str) -> dict[str, str]:
        """Keys of a bucket with their eTags, except reports and journals."""
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        found = {entry["Key"]: entry["ETag"].strip('"') for page in pages for entry in page.get("Contents", [])}
        return {key: etag for key, etag in found.items() if not key.startswith("runs/")}

    def announced(self, url: str | None) -> Counter[tuple[str, str | None]]:
        """Keys and eTags that the messages of a queue announce. The messages return to the queue."""
        found: Counter[tuple[str, str | None]] = Counter()
        handles = []
        while url and self._depth(url)[0]:
            received = self.sqs.receive_message(
                QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=60, WaitTimeSeconds=1
            )
            for message in received.get("Messages", []):
                found.update((image.key, image.etag) for image in messages.read(message["Body"]).images)
                handles.append(message["ReceiptHandle"])
        for handle in handles:
            self.sqs.change_message_visibility(QueueUrl=str(url), ReceiptHandle=handle, VisibilityTimeout=0)
        return found


def _said(document: Mapping[str, Any]) -> dict[str, Any]:
    """The model's part of a label document."""
    return {name: document[name] for name in ("labels", "anomaly") if name in document}


@dataclass
class Uploads:
    """Uploads pictures to the source bucket, and keeps every version, the oldest first."""

    place: AuditedPipeline
    versions: list[Version] = field(default_factory=list)

    def put(self, key: str, scene: str | None, *may: Outcome) -> Version:
        """Upload a picture of a scene, or a text, which must be rejected. `may`: the allowed outcomes."""
        mark = f"{key} {len(self.versions)} {time.time_ns()}"
        body = with_own_bytes(scenes()[scene] if scene else TEXT, mark)
        usual = (Outcome.LABELLED if scene else Outcome.REJECTED,)
        # kept before the upload: the picture can be stored even if the answer is lost
        etag = hashlib.md5(body, usedforsecurity=False).hexdigest()
        version = Version(key, etag, scene, frozenset(may or usual))
        self.versions.append(version)
        self.place.s3.put_object(Bucket=self.place.source_bucket, Key=key, Body=body, ContentType="image/jpeg")
        self.place.settle()
        return version

    def announce_again(self, version: Version) -> None:
        """Send the event of a version again, as S3 may do."""
        record = {
            "eventVersion": "2.1",
            "eventSource": "aws:s3",
            "eventName": "ObjectCreated:Put",
            "s3": {
                "bucket": {"name": self.place.source_bucket},
                "object": {"key": version.key, "eTag": version.etag, "size": 1},
            },
        }
        self.place.sqs.send_message(QueueUrl=self.place.queue_url, MessageBody=json.dumps({"Records": [record]}))


@dataclass(frozen=True)
class Audit:
    """The number of versions by outcome, and the problems."""

    counts: Counter[Outcome]
    problems: list[str]

    def __str__(self) -> str:
        return ", ".join(f"{n} {outcome}" for outcome, n in sorted(self.counts.items()))


def audit(place: AuditedPipeline, versions: Sequence[Version], *, over: bool = True) -> Audit:
    """Audit all versions. `over`: all work is done, so a pending or half-done version or a message is a problem."""
    return _Look(place, versions, over).audit()


class _Look:
    def __init__(self, place: AuditedPipeline, versions: Sequence[Version], over: bool) -> None:
        self._place, self._versions, self._over = place, versions, over
        place.wait_until_visible()
        self._source = place.objects(place.source_bucket)
        self._final = place.objects(place.final_bucket)
        self._announced = place.announced(place.queue_url)
        self._dead = place.announced(place.dead_letters_url)
        self._last = {version.key: version.etag for version in versions}
        self._problems: list[str] = []

    def audit(self) -> Audit:
        counts: Counter[Outcome] = Counter()
        known = set()
        for version in self._versions:
            image = ImageRef(self._place.source_bucket, version.key, version.etag)
            keys = {Outcome.LABELLED: final_key(image), Outcome.REJECTED: final_key(image, REJECTED)}
            known |= {*keys.values(), *(f"{key}.json" for key in keys.values())}
            counts[self._outcome(version, keys)] += 1
        self._problems += [
            f"an object in the final bucket that belongs to no upload: {key}" for key in self._final.keys() - known
        ]
        versions = {(version.key, version.etag) for version in self._versions}
        for key, etag in self._source.items():
            if (key, etag) not in versions:
                self._problems.append(f"an object in the source bucket that belongs to no upload: {key}")
        if self._over and self._announced:
            self._problems.append(f"{self._announced.total()} messages are left")
        return Audit(counts, self._problems)

    def _outcome(self, version: Version, keys: dict[Outcome, str]) -> Outcome:
        where = (version.key, version.etag)
        begun = self._announced[where] or self._dead[where]  # another delivery can still finish a half-done version
        here = self._source.get(version.key) == version.etag
        ended = [outcome for outcome, key in keys.items() if f"{key}.json" in self._final]
        for outcome, key in keys.items():
            self._check_pair(version, outcome, key, bool(begun))
        if len(ended) > 1 and not begun:
            self._say(version, "labelled and rejected")
        if here and self._announced[where]:
            outcome = Outcome.PENDING
        elif here and self._dead[where]:
            outcome = Outcome.DEAD
        elif ended:
            outcome = ended[0]
            if here:
                self._say(version, f"{outcome}, and still in the source bucket without a message")
        elif self._last[version.key] != version.etag:
            outcome = Outcome.SUPERSEDED
        else:
            outcome = Outcome.LOST
            self._say(version, "in the source bucket without a message" if here else "lost")
        if outcome in keys and outcome not in version.may:
            self._say(version, f"{outcome}: {self._document(keys[outcome]).get('error')}")
        if outcome is Outcome.PENDING and self._over:
            self._say(version, "pending")
        return outcome

    def _check_pair(self, version: Version, outcome: Outcome, key: str, begun: bool) -> None:
        """Check that image and document exist together and belong to the version."""
        image, document = self._final.get(key), f"{key}.json" in self._final
        if image and image != version.etag:
            self._say(version, f"{key} has other bytes")
        if document and not image and not begun:
            self._say(version, f"{outcome}: a document without image")
        if image and not document and not begun:
            self._say(version, f"{outcome}: an image without document")
        if not document:
            return
        written = self._document(key)
        for error in _SCHEMA.iter_errors(written):
            self._say(version, f"{key}.json: {error.message}")
        if (written["source"]["key"], written["source"]["etag"]) != (version.key, version.etag):
            self._say(version, f"{key}.json is of another version")
        if written["image"] != {"bucket": self._place.final_bucket, "key": key}:
            self._say(version, f"{key}.json names another image")
        if outcome is Outcome.LABELLED and version.scene and _said(written) != self._place.answers[version.scene]:
            self._say(version, f"its labels are not those of {version.scene!r}: {_said(written)}")

    def _document(self, key: str) -> Any:
        return json.loads(self._place.s3.get_object(Bucket=self._place.final_bucket, Key=f"{key}.json")["Body"].read())

    def _say(self, version: Version, what: str) -> None:
        self._problems.append(f"{version.key} ({version.etag[:6]}): {what}")
