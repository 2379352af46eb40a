"""Check the results of a run against the uploaded pictures, without using any code of the pipeline.

Each picture must have exactly one outcome, and the right one. No file or message may be left over, and the model must
be off.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import jsonschema

from demo.aftermath import Aftermath, Depth
from demo.photographs import Box
from demo.pictures import Picture, Refusal
from sandbox.environment import PROJECT

_SCHEMA_FILE = PROJECT / "include" / "label_detection_core" / "labelling" / "label_document.schema.json"
_REJECTED, _RUNS, _DOCUMENT = "rejected/", "runs/", ".json"
_MAX_KEY_BYTES = 1024
#: A find is right if its intersection over union is above this value; then the share of objects that must be found.
LEAST_IOU = 0.5
_LEAST_SHARE = 0.9
_FINAL_KEY = re.compile(r"(?P<stem>.*)-[0-9a-f]{10}(?P<suffix>\.[^./]*)?", re.DOTALL)


@dataclass(frozen=True)
class Find:
    """A label of a document. `iou`: with the object of that label in the picture, None if there is no such object."""

    name: str
    confidence: float
    iou: float | None


@dataclass(frozen=True)
class Judgement:
    """The judgement of a picture by a model that detects anomalies; `confidence`: 0-100."""

    is_anomalous: bool
    confidence: float


@dataclass(frozen=True)
class PictureOutcome:
    """A picture and its outcome; `judgement`: None unless the model detects anomalies."""

    picture: Picture
    final_key: str | None
    finds: tuple[Find, ...]
    error: str | None
    problems: tuple[str, ...]
    judgement: Judgement | None = None


@dataclass(frozen=True)
class Verdict:
    """A row for each picture, and a text for each problem."""

    rows: tuple[PictureOutcome, ...]
    problems: tuple[str, ...]


@dataclass(frozen=True)
class _Document:
    key: str
    content: dict[str, Any]

    @property
    def image_key(self) -> str:
        return self.key.removesuffix(_DOCUMENT)


def check(pictures: Sequence[Picture], after: Aftermath) -> Verdict:
    """Check the outcome of one run over these pictures; the problems name each error."""
    documents, unreadable = _documents(after)
    by_source: dict[str, list[_Document]] = {}
    for document in documents:
        by_source.setdefault(str(document.content.get("source", {}).get("key")), []).append(document)
    rows = tuple(_row(picture, by_source.get(picture.key, []), after) for picture in pictures)
    problems = [
        *unreadable,
        *(f"{row.picture.key}: {problem}" for row in rows for problem in row.problems),
        *_missed(rows),
        *_left_over(pictures, documents, after),
        *_queues(after),
        *_model(after),
        *([] if after.run_state == "success" else [f"the run is {after.run_state}, not success"]),
        *_report(pictures, documents, after),
    ]
    return Verdict(rows, tuple(problems))


def _documents(after: Aftermath) -> tuple[list[_Document], list[str]]:
    """All label documents, also those of rejected images and messages, and the problems with their format."""
    validator = jsonschema.Draft202012Validator(
        json.loads(_SCHEMA_FILE.read_text()), format_checker=jsonschema.FormatChecker()
    )
    documents, problems = [], []
    for key, stored in after.final.items():
        if not key.endswith(_DOCUMENT) or key.startswith(_RUNS):
            continue
        try:
            content = json.loads(stored.body)
        except ValueError as error:
            problems.append(f"{key}: not JSON: {error}")
            continue
        problems += [f"{key}: {error.message}" for error in validator.iter_errors(content)]
        if isinstance(content, dict):
            documents.append(_Document(key, content))
    return documents, problems


def _row(picture: Picture, documents: Sequence[_Document], after: Aftermath) -> PictureOutcome:
    if len(documents) != 1:
        problem = "lost: it has no document" if not documents else f"has {len(documents)} documents instead of one"
        return PictureOutcome(picture, None, (), None, (problem,))
    (document,) = documents
    error = document.content.get("error")
    finds = _finds(picture, document.content.get("labels", []))
    problems = [*_key(picture, document), *_copy(picture, document, after)]
    if picture.is_good and error:
        problems.append(f"rejected with {error['code']}, though it is a good picture")
    elif not picture.is_good and not error:
        problems.append(f"labelled, though it should be rejected with {picture.refusal}")
    elif error and error["code"] != picture.refusal:
        problems.append(f"rejected with {error['code']} instead of {picture.refusal}")
    if picture.where_known:
        problems += [f"{find.name} was found in a picture that shows none" for find in finds if find.iou is None]
    judgement = _judgement(document)
    if not error:
        problems += _judged(picture, judgement)
    problems += _labelled_by(document, after)
    return PictureOutcome(
        picture, document.image_key, finds, error["code"] if error else None, tuple(problems), judgement
    )


def _judgement(document: _Document) -> Judgement | None:
    anomaly = document.content.get("anomaly")
    return Judgement(bool(anomaly["IsAnomalous"]), float(anomaly["Confidence"])) if anomaly else None


def _judged(picture: Picture, judgement: Judgement | None) -> Iterator[str]:
    """A model that detects anomalies must judge each picture rightly; any other model must give no judgement."""
    names = {True: "anomalous", False: "normal", None: "neither normal nor anomalous"}
    judged = judgement.is_anomalous if judgement else None
    if judged is not picture.anomalous:
        yield f"it was judged {names[judged]}, and is {names[picture.anomalous]}"


def _labelled_by(document: _Document, after: Aftermath) -> Iterator[str]:
    arn = document.content.get("model", {}).get("arn")
    if arn != after.model["arn"]:
        yield f"its document names another model: {arn}"


def _finds(picture: Picture, labels: Sequence[dict[str, Any]]) -> tuple[Find, ...]:
    finds = []
    for label in labels:
        geometry = label.get("Geometry", {}).get("BoundingBox")
        box = geometry and Box(geometry["Left"], geometry["Top"], geometry["Width"], geometry["Height"])
        ious = [truth.box.iou(box) if box else 0.0 for truth in picture.truths if truth.label == label["Name"]]
        finds.append(Find(label["Name"], float(label["Confidence"]), max(ious, default=None)))
    return tuple(finds)


def _key(picture: Picture, document: _Document) -> Iterator[str]:
    """The final key must be the source key with 10 hex digits before its suffix, cut only if it is too long."""
    key = document.image_key
    if picture.is_good == key.startswith(_REJECTED):
        yield f"its document is in the wrong folder: {document.key}"
    match = _FINAL_KEY.fullmatch(key if picture.is_good else key.removeprefix(_REJECTED))
    stem, dot, suffix = picture.key.rpartition(".")
    whole = match is not None and match["stem"] == stem
    longest = len(document.key.encode()) > _MAX_KEY_BYTES - 4  # one more character might be too long
    cut = match is not None and longest and stem.startswith(match["stem"])
    if (
        not match
        or match["suffix"] != dot + suffix
        or not (whole or cut)
        or len(document.key.encode()) > _MAX_KEY_BYTES
    ):
        yield f"its final key {key!r} does not follow from its source key"
    if document.content.get("image", {}).get("key") != key:
        yield f"its document at {document.key} names another image: {document.content.get('image')}"


def _copy(picture: Picture, document: _Document, after: Aftermath) -> Iterator[str]:
    """The image in the final bucket must equal the uploaded one."""
    stored = after.final.get(document.image_key)
    if stored is None:
        yield f"it has a document, but its image {document.image_key} is missing"
        return
    if stored.body != picture.body:
        yield f"its copy has {len(stored.body)} bytes that differ from the {len(picture.body)} uploaded ones"
    if stored.content_type != picture.content_type:
        yield f"content type {stored.content_type}, uploaded as {picture.content_type}"
    if dict(stored.metadata) != dict(picture.metadata):
        yield f"metadata {dict(stored.metadata)}, uploaded with {dict(picture.metadata)}"
    if dict(stored.tags) != dict(picture.tags):
        yield f"tags {dict(stored.tags)}, uploaded with {dict(picture.tags)}"


def _missed(rows: Sequence[PictureOutcome]) -> Iterator[str]:
    """At least 9 of 10 objects must be found at their place."""
    objects = [(row, truth) for row in rows if row.picture.is_good for truth in row.picture.truths]
    missed = [
        f"{truth.label} in {row.picture.key}"
        for row, truth in objects
        if not any(find.name == truth.label and (find.iou or 0) > LEAST_IOU for find in row.finds)
    ]
    if len(missed) > (1 - _LEAST_SHARE) * len(objects):
        yield f"{len(missed)} of {len(objects)} objects not found at their place: {', '.join(missed)}"


def _left_over(pictures: Sequence[Picture], documents: Sequence[_Document], after: Aftermath) -> Iterator[str]:
    uploaded = {picture.key for picture in pictures}
    known = {document.key for document in documents} | {document.image_key for document in documents}
    for key in after.final:
        if key not in known and not key.startswith(_RUNS):
            yield f"{key}: in the final bucket without a document"
    for document in documents:
        if document.content.get("source", {}).get("key") not in uploaded:
            yield f"{document.key}: the document of a picture that was not uploaded"
    for key in after.source_keys:
        yield f"{key}: still in the source bucket"


def _queues(after: Aftermath) -> Iterator[str]:
    for name, depth in (("queue", after.queue), ("dead-letter queue", after.dead_letters)):
        if depth not in (None, Depth(0, 0)):
            yield f"the {name} is not empty: {depth.visible} messages waiting, {depth.in_flight} in flight"


def _model(after: Aftermath) -> Iterator[str]:
    statuses = [change["status"] for change in after.model["history"]]
    if after.model["status"] != "STOPPED":
        yield f"THE MODEL IS NOT OFF: it is {after.model['status']}"
    if "RUNNING" not in statuses:
        yield f"the model never ran: {', '.join(statuses)}"
    elif "STOPPING" not in statuses[statuses.index("RUNNING") :]:
        yield f"the model was not stopped: {', '.join(statuses)}"


def _report(pictures: Sequence[Picture], documents: Sequence[_Document], after: Aftermath) -> Iterator[str]:
    """Check the numbers in the report.

    A second event for a picture counts as labelled again or as ignored. A second delivery counts in the same way, or is
    not counted if it arrived while the first one was being handled.
    """
    if after.report is None:
        yield "there is no report.json"
        return
    images = after.report["images"]
    good = sum(picture.is_good for picture in pictures)
    events = sum(picture.uploads for picture in pictures if picture.is_good)
    bad = len(pictures) - good
    for name, count, least in (
        ("rejected", images["rejected"], bad),
        ("labelled and ignored", images["labelled"] + images["ignored"], events),
    ):
        most = least + after.second_deliveries
        if not least <= count <= most:
            yield f"report.json has {count} for {name} instead of {least}{f' to {most}' if most > least else ''}"
    expected: dict[str, tuple[object, object]] = {
        "queue": (after.report["queue"], {"visible": 0, "in_flight": 0, "delayed": 0}),
        "problems": (after.report["problems"], []),
    }
    if images["rejected"] == bad:
        refusals = Counter(p.refusal for p in pictures if p.refusal)
        expected["rejections"] = (after.report["rejections"], dict(refusals))
    if images["labelled"] == good:
        found = Counter(name for document in documents for name in _names(document))
        expected["labels"] = (after.report["labels"], dict(found))
    elif images["labelled"] < good:
        yield f"report.json has {images['labelled']} labelled pictures, but {good} good pictures were uploaded"
    if Refusal.MODEL in {p.refusal for p in pictures} and not images["failed"]:
        yield "report.json has no picture that was tried again, although one had a temporary error"
    for name, (reported, true) in expected.items():
        if reported != true:
            yield f"report.json has {reported} for {name} instead of {true}"
    yield from _bill(after.report["model"], after.model)


def _names(document: _Document) -> set[str]:
    return {label["Name"] for label in document.content.get("labels", [])}


def _bill(reported: dict[str, Any], model: Any) -> Iterator[str]:
    """Check the report's minutes: from the start request until the stop was seen, so at least the time on."""
    minutes = model["on_seconds"] / 60
    if not minutes - 0.02 <= reported["minutes"] <= minutes + 1:
        yield f"report.json has {reported['minutes']} minutes for the model, which was on for {minutes:.2f}"
