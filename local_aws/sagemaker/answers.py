"""The answers of endpoints: the detector's findings in the formats of three of AWS's containers."""

import re
from collections.abc import Sequence
from typing import Any

from local_aws.decoded_image import DecodedImage
from local_aws.detector import Finding
from local_aws.settings import Answers


def answers_of(image: str) -> Answers | None:
    """The answer format of a container image such as ``<registry>/object-detection:1``; None for an unknown image."""
    repository = re.split("[:@]", image.rpartition("/")[2])[0]
    if repository.startswith("huggingface-"):
        return Answers.HUGGINGFACE
    return next(
        (known for known in (Answers.OBJECT_DETECTION, Answers.IMAGE_CLASSIFICATION) if known == repository), None
    )


def write_answer(form: Answers, found: Sequence[Finding], classes: Sequence[str], picture: DecodedImage) -> Any:
    """The JSON of an answer. ``classes``: the labels in the order of their class numbers."""
    known = [finding for finding in found if finding.name in classes]
    if form is Answers.OBJECT_DETECTION:
        return {"prediction": [_prediction(finding, classes) for finding in known]}
    if form is Answers.IMAGE_CLASSIFICATION:
        return _probabilities(known, classes)
    return [_detection(finding, picture) for finding in known]


def _prediction(finding: Finding, classes: Sequence[str]) -> list[float]:
    """Class number, score and corners: https://docs.aws.amazon.com/sagemaker/latest/dg/object-detection-in-formats.html."""
    box = finding.box
    right, bottom = box.left + box.width, box.top + box.height
    return [float(classes.index(finding.name)), finding.confidence / 100, box.left, box.top, right, bottom]


def _probabilities(found: Sequence[Finding], classes: Sequence[str]) -> list[float]:
    """One probability per class: its highest confidence. If the sum is more than 1, all are scaled down to a sum of 1.

    If the sum is less than 1, the rest is the probability of no class. AWS's classifier needs a trained class for that.
    """
    best = [max((f.confidence / 100 for f in found if f.name == name), default=0.0) for name in classes]
    return [probability / max(1.0, sum(best)) for probability in best]


def _detection(finding: Finding, picture: DecodedImage) -> dict[str, Any]:
    """One entry in the list that Hugging Face's object-detection pipeline returns: pixels from the top left."""
    box = finding.box
    return {
        "score": finding.confidence / 100,
        "label": finding.name,
        "box": {
            "xmin": round(box.left * picture.width),
            "ymin": round(box.top * picture.height),
            "xmax": round((box.left + box.width) * picture.width),
            "ymax": round((box.top + box.height) * picture.height),
        },
    }
