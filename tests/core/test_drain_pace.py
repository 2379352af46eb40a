"""The drain's pace, with the embedded model and a rate limit."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from label_detection.hooks.model import paced_model_hook
from label_detection_core.drain.drain import Drain
from label_detection_core.drain.journal import Journal, read_lines
from label_detection_core.drain.message_worker import Tally
from label_detection_core.drain.pace import Pace
from label_detection_core.labelling.labeller import Labeller
from label_detection_core.labelling.labels import ModelInfo
from label_detection_core.queue.image_queue import ImageQueue
from tests.conftest import Aws
from tests.core.conftest import RUN, MakeDrain, client
from tests.core.queues import Watched
from tests.model_calls import KINDS

RATE, LATENCY = 20.0, 0.1


@pytest.fixture
def limited(aws: Aws) -> Iterator[Aws]:
    """A running model that does 20 images a second, each in 0.1 s."""
    aws.change_model(status="RUNNING", rate=RATE, latency=LATENCY)
    yield aws
    aws.change_model(rate=0, latency=0)


def paced_drain(aws: Aws, images_per_second: float) -> Drain:
    settings, pace = aws.settings, Pace(images_per_second, 0.2)
    labeller = Labeller(
        s3=client("s3"),
        detect=paced_model_hook(settings, 32, pace).detect,
        source_bucket=settings.source_bucket,
        final_bucket=settings.final_bucket,
        model=ModelInfo(settings.model_arn, settings.least_confidence),
        max_receives=5,
        run=RUN,
    )
    journal = Journal(labeller.s3, labeller.final_bucket, RUN)
    queue = ImageQueue(client("sqs"), settings.queue_url)
    return Drain(queue, labeller, journal, pace, workers=32, deadline=time.time() + 600)


def upload(aws: Aws, count: int, picture: bytes) -> None:
    for number in range(count):
        aws.upload(f"{number}.png", picture + str(number).encode())


def test_four_consumers_share_one_limit_and_none_starves(limited: Aws, picture: bytes) -> None:
    upload(limited, 400, picture)
    before = limited.model()
    drains = [paced_drain(limited, RATE / 4) for _ in range(4)]
    threads = [threading.Thread(target=drain.run) for drain in drains]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(300)
    labelled = [drain.tally.labelled for drain in drains]
    assert sum(labelled) == 400
    assert min(labelled) > 400 / 4 / 4, labelled
    throttled = limited.model()["throttled"] - before["throttled"]
    assert throttled < 400 * 0.05
    assert sum(line["throttled"] for line in read_lines(limited.s3, limited.settings.final_bucket, RUN.run_id)) == (
        throttled
    )


@pytest.mark.kinds(*KINDS)
def test_a_limit_far_below_what_was_expected_loses_and_rejects_nothing(limited: Aws, picture: bytes) -> None:
    limited.exactly_once()
    upload(limited, 60, picture)
    assert paced_drain(limited, 500.0).run() == Tally(labelled=60)


def test_the_journal_has_the_duration_of_the_answers(limited: Aws, picture: bytes) -> None:
    upload(limited, 3, picture)
    paced_drain(limited, RATE).run()
    lines = list(read_lines(limited.s3, limited.settings.final_bucket, RUN.run_id))
    assert all(LATENCY <= line["seconds"] <= line["worked"] < 60 for line in lines)


def test_a_receive_is_for_several_images(aws: Aws, make_drain: MakeDrain, picture: bytes) -> None:
    upload(aws, 60, picture)
    sqs = Watched()
    assert make_drain(sqs=sqs, workers=10).run() == Tally(labelled=60)
    assert len(sqs.received) < 30
