"""`python -m demo`: a world, the pictures, one run, and a check of what came out."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import requests
from rich.console import Console
from rich.text import Text

from demo.aftermath import gather
from demo.airflow_api import AirflowApi, ApiError, BrokenDagError
from demo.live import show, watch
from demo.outcome import check
from demo.pictures import Picture, examples, pictures
from demo.processes import Interrupted, ProcessDiedError
from demo.verdict import tell
from demo.world import World, WorldOptions

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

DAG_ID = "label_detection"
PRICE = 4.0
_RUN_SECONDS = 240
_LOG_LINES = 15


def demo(console: Console) -> int:
    """Run it; 0 if everything is as it should be, 1 if not. The folder is kept if something went wrong."""
    began = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="label-detection-demo-"))
    keep = True
    try:
        keep = bool(_demo(console, folder))
    except (ProcessDiedError, TimeoutError, BrokenDagError, ApiError, requests.RequestException) as error:
        console.print(Text(f"\n{error}", style="red"), soft_wrap=True)
    except (KeyboardInterrupt, Interrupted):
        keep = False
        raise
    finally:
        if keep:
            console.print(Text(f"\nLogs and data are kept in {folder}"), soft_wrap=True)
        else:
            shutil.rmtree(folder, ignore_errors=True)
    console.print(Text(f"Took {time.monotonic() - began:.0f} s; nothing is left running.", style="dim"))
    return 1 if keep else 0


def _demo(console: Console, folder: Path) -> tuple[str, ...]:
    console.print(
        Text("Label detection on Airflow: a demo on this machine alone, without an AWS account.", style="bold")
    )
    examples(folder / "examples")
    options = WorldOptions(
        aws={"examples": str(folder / "examples")},
        settings={"schedule": "", "price_per_unit_hour": str(PRICE)},
    )
    with show(console) as display, World(folder, options, display.say) as world:
        world.api.wait_for_dag(DAG_ID, check=world.check)
        uploaded = pictures()
        upload(world.s3, world.setting("source_bucket"), uploaded)
        display.say(f"{len(uploaded)} pictures uploaded to s3://{world.setting('source_bucket')}")
        run_id = world.api.trigger(DAG_ID)
        display.say(f"run {run_id} triggered")
        state = watch(world, DAG_ID, run_id, len(uploaded), display.draw, _RUN_SECONDS)
        settings = {name: world.setting(name) for name in ("queue_url", "source_bucket", "final_bucket")}
        after = gather(world.s3, world.sqs, settings, world.model(), run_id, state)
        failures = list(_failures(world.api, run_id))
        display.say("ending all processes")
    verdict = check(uploaded, after)
    tell(console, verdict, after, PRICE)
    for failure in failures:
        console.print(Text(failure), soft_wrap=True)
    return verdict.problems


def upload(s3: S3Client, bucket: str, uploaded: Sequence[Picture]) -> None:
    """Put every picture, as often as it says; the second times last, as a retrying camera would."""
    for nth in range(max(picture.uploads for picture in uploaded)):
        for picture in uploaded:
            if picture.uploads > nth:
                s3.put_object(
                    Bucket=bucket,
                    Key=picture.key,
                    Body=picture.body,
                    ContentType=picture.content_type,
                    Metadata=dict(picture.metadata),
                    Tagging=urlencode(picture.tags),
                )


def _failures(api: AirflowApi, run_id: str) -> Iterator[str]:
    """The end of the log of each task that failed, first failure first."""
    failed = [task for task in api.tasks(DAG_ID, run_id) if task.state == "failed"]
    for task in sorted(failed, key=lambda task: task.end_date or ""):
        log = api.log(DAG_ID, run_id, task.task_id, task.try_number, task.map_index).splitlines()
        shown = [line for line in log if "::group::" not in line and "::endgroup::" not in line]
        yield "\n".join([f"\nThe log of {task.name}, try {task.try_number}, ends:", *shown[-_LOG_LINES:]])
