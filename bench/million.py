"""A drain with test doubles: `python -m bench.million <images>`.

A million images are too many for the embedded AWS of one machine. So the queue invents its messages, and S3 and the
model accept every call; all other code is the real one. The module prints its time and its use of memory as JSON.
"""

from __future__ import annotations

import itertools
import json
import sys
import time
from collections.abc import Sequence
from typing import Any

from botocore.exceptions import ClientError

from bench.usage import peak_bytes
from label_detection_core.drain.drain import Drain
from label_detection_core.drain.journal import Journal
from label_detection_core.drain.pace import Pace
from label_detection_core.labelling.labeller import Labeller
from label_detection_core.labelling.labels import Detection, ModelInfo, RunInfo
from label_detection_core.queue.image_queue import BATCH
from label_detection_core.queue.messages import ImageRef, Message
from label_detection_core.run.plan import MAX_WORKERS

_SOURCE, _FINAL = "source-bucket", "final-bucket"
_FOUND = Detection([{"Name": "scratch", "Confidence": 97.1}])


class QueueDouble:
    """A double of `ImageQueue` with a number of messages, each for a different picture."""

    visibility_seconds = 60

    def __init__(self, images: int) -> None:
        self._numbers = iter(range(images))
        self._receives = itertools.count()

    def receive(self, most: int, wait_seconds: int) -> list[Message]:
        numbers = list(itertools.islice(self._numbers, min(most, BATCH)))
        return [Message(f"m-{number}", f"handle-{number}", _body(number)) for number in numbers]

    def keep(self, messages: Sequence[Message]) -> None:
        pass

    def give_back(self, messages: Sequence[Message], seconds: float = 0) -> bool:
        if messages:
            raise AssertionError("the drain returned a message to the queue: it must label each one")
        return True

    def delete(self, messages: Sequence[Message]) -> list[Message]:
        return []


class S3Double:
    """A double of S3 that accepts every call; HeadObject finds the images of the source bucket alone."""

    def head_object(self, **request: Any) -> Any:
        if request["Bucket"] == _SOURCE:
            number = int(request["Key"].removeprefix("line 3/").removesuffix(".jpg"))
            return {"ETag": f'"{number:032x}"'}
        answer: Any = {"Error": {"Code": "404"}, "ResponseMetadata": {"HTTPStatusCode": 404}}
        raise ClientError(answer, "HeadObject")

    def __getattr__(self, _: str) -> Any:
        return lambda **_: {}


def _body(number: int) -> str:
    record = {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "eventName": "ObjectCreated:Put",
        "s3": {
            "bucket": {"name": _SOURCE},
            "object": {"key": f"line+3/{number}.jpg", "size": 1234, "eTag": f"{number:032x}"},
        },
    }
    return json.dumps({"Records": [record]})


def main(images: int) -> None:
    """Drain `images` messages and print the facts as JSON."""

    def detect(image: ImageRef, min_confidence: float | None) -> Detection:
        return _FOUND

    s3: Any = S3Double()
    queue: Any = QueueDouble(images)
    run = RunInfo("label_detection", "bench", 0)
    labeller = Labeller(s3, detect, _SOURCE, _FINAL, ModelInfo("arn", 70.0), 5, run)
    journal, pace = Journal(s3, _FINAL, run), Pace(1_000_000.0, 0.001)
    drain = Drain(queue, labeller, journal, pace, workers=MAX_WORKERS, deadline=time.time() + 36_000)
    began = time.monotonic()
    tally = drain.run()
    seconds = time.monotonic() - began
    xcom = len(json.dumps(vars(tally)))
    facts = {"labelled": tally.labelled, "seconds": seconds, "peak_bytes": peak_bytes(), "xcom_bytes": xcom}
    print(json.dumps(facts))


if __name__ == "__main__":
    main(int(sys.argv[1]))
