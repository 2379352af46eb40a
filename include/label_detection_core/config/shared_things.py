"""Finds models, queues and final buckets that two pipelines share, which is an error."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from label_detection_core.config.model_types import model_of
from label_detection_core.config.pipeline import Pipeline

#: Options that must differ between two pipelines → the reason.
_NOT_SHARED = {
    "model_arn": "each pipeline would stop the model while the other uses it",
    "queue_url": "each pipeline would take pictures of the other",
    "final_bucket": "the reports of both would have the same keys",
}
#: AWS: the Region in the host name of a queue's URL, in all current and old forms: regional, FIPS, dual-stack,
#: interface VPC endpoint (its own name and the name per zone), and the oldest form.
_SQS_HOSTS = (
    re.compile(r"(?:[a-z\d-]+\.)?sqs(?:-fips)?\.(?P<region>[a-z\d-]+)\.(?:vpce\.)?amazonaws\.com(?:\.cn)?"),
    re.compile(r"(?:[a-z\d-]+\.)?sqs(?:-fips)?\.(?P<region>[a-z\d-]+)\.api\.(?:aws|amazonwebservices\.com\.cn)"),
    re.compile(r"(?P<region>[a-z\d-]+)\.queue\.amazonaws\.com(?:\.cn)?"),
)
_OLD_SQS_HOST = "queue.amazonaws.com"  # AWS: us-east-1


def compared(pipelines: list[Pipeline]) -> Iterator[Pipeline]:
    """Yield the pipelines. A pipeline that shares a thing with an earlier one gets a line in its `problems`.

    The first pipeline in the file keeps the thing, even while it has other errors. Otherwise, an error in the first
    pipeline would let the second one take its images.
    """
    values = [_things(pipeline) for pipeline in pipelines]
    sources: dict[str, list[int]] = {}
    for number, has in enumerate(values):
        sources.setdefault(has.get("source_bucket", ""), []).append(number)
    first: dict[tuple[str, str], Pipeline] = {}
    for number, (pipeline, has) in enumerate(zip(pipelines, values, strict=True)):
        problems = []
        for option, why in _NOT_SHARED.items():
            if option in has:
                other = first.setdefault((option, has[option]), pipeline)
                if other is not pipeline:
                    problems.append(f"{pipeline.place.name(option)} is also used by {other.name}: {why}; set another")
        others = [pipelines[one].name for one in sources.get(has.get("final_bucket", "-"), []) if one != number]
        if others:
            problems.append(
                f"{pipeline.place.name('final_bucket')} is the source bucket of {others[0]}: "
                "S3 would announce each copy as a new picture; set another bucket"
            )
        own = pipeline.own.model_copy(update={"problems": (*pipeline.own.problems, *problems)})
        yield replace(pipeline, own=own) if problems else pipeline


def _things(pipeline: Pipeline) -> dict[str, str]:
    """Return the valid options that name a shared thing, in a form that is equal for equal things."""
    if pipeline.own.unreadable:
        return {}
    right = pipeline.right()
    found = {option: right[option] for option in ("source_bucket", "final_bucket") if right.get(option)}
    if right.get("model_arn"):
        found["model_arn"] = right["model_arn"].casefold()
    if right.get("queue_url"):
        found["queue_url"] = _queue(right["queue_url"], right.get("model_arn"))
    return found


def _queue(url: str, model_arn: str | None) -> str:
    """Return a queue as `<Region>/<account>/<name>`, equal for all URLs of one queue.

    The Region is in the host name. A host name without a Region, such as a company's own name for a VPC endpoint, means
    the Region of the model: the client then uses its own host there, and only account and name of the URL count.
    """
    host, _, path = url.partition("://")[2].partition("/")
    host = host.lower().removesuffix(":443").removesuffix(":80")
    regions = [match["region"] for pattern in _SQS_HOSTS if (match := pattern.fullmatch(host))]
    if host == _OLD_SQS_HOST:
        regions = ["us-east-1"]
    region = regions[0] if regions else model_of(model_arn).region if model_arn else host
    return "/".join([region, *[part for part in path.split("/") if part][-2:]])
