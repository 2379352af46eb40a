"""What two pipelines cannot share: a model, a queue, a final bucket."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from label_detection_core.config.model_types import model_of
from label_detection_core.config.pipeline import Pipeline

#: What two pipelines cannot share, and why.
_NOT_SHARED = {
    "model_arn": "two runs would start and stop the model under each other",
    "queue_url": "they would take each other's images",
    "final_bucket": "their runs' reports have the same keys",
}
#: AWS: the Region in a queue's host, in the forms that it has and had: regional, FIPS, dual-stack, an interface VPC
#: endpoint's (its own name and that of a zone), and the oldest.
_SQS_HOSTS = (
    re.compile(r"(?:[a-z\d-]+\.)?sqs(?:-fips)?\.(?P<region>[a-z\d-]+)\.(?:vpce\.)?amazonaws\.com(?:\.cn)?"),
    re.compile(r"(?:[a-z\d-]+\.)?sqs(?:-fips)?\.(?P<region>[a-z\d-]+)\.api\.(?:aws|amazonwebservices\.com\.cn)"),
    re.compile(r"(?P<region>[a-z\d-]+)\.queue\.amazonaws\.com(?:\.cn)?"),
)
_OLD_SQS_HOST = "queue.amazonaws.com"  # AWS: us-east-1


def compared(pipelines: list[Pipeline]) -> Iterator[Pipeline]:
    """The pipelines, with what each has of another's among its problems.

    The first in the file has the right to a thing, also while something else is wrong with it: mending or breaking that
    must not have another one take its images.
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
                    problems.append(f"{pipeline.place.name(option)} is that of {other.name} too: {why}; set another")
        others = [pipelines[one].name for one in sources.get(has.get("final_bucket", "-"), []) if one != number]
        if others:
            problems.append(
                f"{pipeline.place.name('final_bucket')} is the source bucket of {others[0]}: "
                "a copy would announce itself; set another"
            )
        own = pipeline.own.model_copy(update={"problems": (*pipeline.own.problems, *problems)})
        yield replace(pipeline, own=own) if problems else pipeline


def _things(pipeline: Pipeline) -> dict[str, str]:
    """What it works on, in a form that is the same for the same thing; only what is right."""
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
    """A queue by its Region, account and name, for every host that its URL may have.

    The Region is the host's. A host that says none, such as a company's own name for a VPC endpoint, means the model's
    Region: the client sends to its own host there, and only account and name of the URL count.
    """
    host, _, path = url.partition("://")[2].partition("/")
    host = host.lower().removesuffix(":443").removesuffix(":80")
    regions = [match["region"] for pattern in _SQS_HOSTS if (match := pattern.fullmatch(host))]
    if host == _OLD_SQS_HOST:
        regions = ["us-east-1"]
    region = regions[0] if regions else model_of(model_arn).region if model_arn else host
    return "/".join([region, *[part for part in path.split("/") if part][-2:]])
