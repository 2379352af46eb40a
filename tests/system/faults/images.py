"""What became of images: a look into the buckets and the queue."""

from __future__ import annotations

from dataclasses import dataclass

from tests.system.pipeline import Pipeline


@dataclass(frozen=True)
class Outcomes:
    """Images by outcome."""

    labelled: int
    rejected: int
    pending: int

    def __str__(self) -> str:
        parts = {name: count for name, count in vars(self).items() if count}
        return ", ".join(f"{count} {name}" for name, count in parts.items())


def outcomes(pipeline: Pipeline, keys: list[str]) -> Outcomes:
    """How many of the uploaded images are labelled, rejected, pending: each exactly one of them.

    :raises AssertionError: naming the first image that is in none or in two, or is pending without a message.
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
        if of_image["labelled"] and of_image["pending"]:  # labelled, and killed before it was deleted: not over yet
            of_image["labelled"] = 0
        assert sum(of_image.values()) == 1, (key, of_image)
        found = {name: count + of_image[name] for name, count in found.items()}
    assert sum(pipeline.depth()) >= found["pending"], "an image is pending, but its message is gone"
    return Outcomes(**found)
