"""Find the outcomes of images in the buckets and on the queue."""

from __future__ import annotations

from dataclasses import dataclass

from tests.system.pipeline import Pipeline


@dataclass(frozen=True)
class Outcomes:
    """Number of images by outcome."""

    labelled: int
    rejected: int
    pending: int

    def __str__(self) -> str:
        parts = {name: count for name, count in vars(self).items() if count}
        return ", ".join(f"{count} {name}" for name, count in parts.items())


def outcomes(pipeline: Pipeline, keys: list[str]) -> Outcomes:
    """Count the uploaded images that are labelled, rejected and pending. Each must have exactly one outcome.

    :raises AssertionError: an image has none or two, or is pending without a message; the message has its key.
    """
    source, final = set(pipeline.keys("source_bucket")), pipeline.keys("final_bucket")
    found = {"labelled": 0, "rejected": 0, "pending": 0}
    for key in keys:
        stem = key.removesuffix(".png")
        of_image = {
            "labelled": sum(name.startswith(f"{stem}-") and name.endswith(".json") for name in final),
            "rejected": sum(name.startswith(f"rejected/{stem}-") and name.endswith(".json") for name in final),
            "pending": int(key in source),
        }
        if of_image["labelled"] and of_image["pending"]:  # killed before the delete: not finished
            of_image["labelled"] = 0
        assert sum(of_image.values()) == 1, (key, of_image)
        found = {name: count + of_image[name] for name, count in found.items()}
    assert sum(pipeline.depth()) >= found["pending"], "an image is pending, but its message is gone"
    return Outcomes(**found)
