"""A drain in its own process, without Airflow: `python -m bench.drain_process '<orders as JSON>'`.

It prints the results and its use of resources as JSON. The setup is not part of the measured time.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass
from typing import Any

from botocore.config import Config

from bench.usage import peak_bytes
from label_detection.hooks.clients import FEW_ATTEMPTS, IMAGE_ATTEMPTS, s3_client, sqs_client
from label_detection.hooks.model import hook_for, paced_model_hook
from label_detection_core.config.settings import Settings
from label_detection_core.drain.drain import Drain
from label_detection_core.drain.journal import Journal
from label_detection_core.drain.pace import Pace
from label_detection_core.labelling.labeller import Labeller
from label_detection_core.labelling.labels import ModelInfo, RunInfo
from label_detection_core.queue.image_queue import ImageQueue
from label_detection_core.run.plan import MAX_WORKERS


@dataclass(frozen=True)
class Orders:
    """The drain's addresses and pace.

    `botocore_mode`: a retry mode of botocore, whose pace the model's client keeps instead of this project's pace.
    """

    queue_url: str
    source_bucket: str
    final_bucket: str
    model_arn: str
    images_per_second: float
    number: int = 0
    botocore_mode: str | None = None


class _NoPace(Pace):
    """Delays no call, for a client that paces itself; the number of concurrent calls is the real Pace's initial one."""

    def wait(self) -> None:
        pass

    def answered(self, *, throttled: bool) -> None:
        pass


def main(orders: Orders) -> None:
    """Drain the queue and print the facts as JSON."""
    drain = _drain(orders)
    began, cpu = time.time(), time.process_time()
    tally = drain.run()
    facts = {
        "labelled": tally.labelled,
        "tally": str(tally),
        "seconds": time.time() - began,
        "cpu": time.process_time() - cpu,
        "peak_bytes": peak_bytes(),
    }
    print(json.dumps(facts))


def _drain(orders: Orders) -> Drain:
    options = {name: getattr(orders, name) for name in ("queue_url", "source_bucket", "final_bucket", "model_arn")}
    settings = Settings.model_validate(options)
    detect, pace = _model(settings, orders)
    run = RunInfo("label_detection", "bench", orders.number)
    labeller = Labeller(
        s3=s3_client(settings, MAX_WORKERS, IMAGE_ATTEMPTS),
        detect=detect,
        source_bucket=settings.source_bucket,
        final_bucket=settings.final_bucket,
        model=ModelInfo(settings.model_arn, settings.least_confidence),
        max_receives=settings.max_receives,
        run=run,
    )
    return Drain(
        ImageQueue(sqs_client(settings, attempts=FEW_ATTEMPTS), settings.queue_url),
        labeller,
        Journal(s3_client(settings, attempts=FEW_ATTEMPTS), settings.final_bucket, run),
        pace,
        workers=MAX_WORKERS,
        deadline=time.time() + 3600,
    )


def _model(settings: Settings, orders: Orders) -> tuple[Any, Pace]:
    if orders.botocore_mode is None:
        pace = Pace(orders.images_per_second, 0.3)
        return paced_model_hook(settings, MAX_WORKERS, pace).detect, pace
    retries: Any = {"mode": orders.botocore_mode, "total_max_attempts": 10}
    config = Config(retries=retries, max_pool_connections=MAX_WORKERS + 2)
    return hook_for(settings.model, "aws_default", config).detect, _NoPace(orders.images_per_second, 0.3)


if __name__ == "__main__":
    main(Orders(**json.loads(sys.argv[1])))
