"""`python -m demo`: start a world, upload pictures, run each pipeline once, and check the results."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import requests
from rich.console import Console
from rich.text import Text

from demo import two_pipelines
from demo.aftermath import Aftermath, gather
from demo.kinds import SERVICES, Kind
from demo.live import Show, show, watch
from demo.outcome import check
from demo.pictures import HARD_KEYS, Picture, examples, pictures
from demo.pipeline import Pipeline, PipelineRun, only_pipeline
from demo.verdict import tell, tell_problems
from sandbox.airflow_api import AirflowApi, ApiError, BrokenDagError
from sandbox.processes import Interrupted, ProcessDiedError
from sandbox.world import ODDITIES, World, WorldOptions

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_RUN_SECONDS = 240
_LOG_LINES = 15

#: The delay of a failed picture grows with each delivery: three deliveries take ten seconds, five take minutes.
_SETTINGS = {"schedule": "", "max_receives": "3"}


def demo(console: Console, kind: Kind) -> int:
    """Run the demo; returns 0 if all results are right, else 1, and then keeps the folder of the world."""
    return _in_a_folder(console, lambda folder: _one(console, folder, kind))


def demo_of_two(console: Console) -> int:
    """Run the demo of two pipelines; returns 0 or 1, as `demo` does."""
    return _in_a_folder(console, lambda folder: _two(console, folder))


def _in_a_folder(console: Console, run: Callable[[Path], Sequence[str]]) -> int:
    began = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="label-detection-demo-"))
    keep = True
    try:
        keep = bool(run(folder))
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


def _one(console: Console, folder: Path, kind: Kind) -> Sequence[str]:
    _introduce(console, SERVICES[kind].about)
    examples(folder / "examples")
    options = WorldOptions(
        aws={"examples": str(folder / "examples"), "model": kind.value, **ODDITIES},
        settings={**_SETTINGS, "price_per_unit_hour": str(SERVICES[kind].price)},
    )
    with show(console) as display, World(folder, options, display.say) as world:
        (ended,) = _run(world, display, [only_pipeline(world, kind)])
        display.say("ending all processes")
    return _tell(console, ended)


def _two(console: Console, folder: Path) -> Sequence[str]:
    _introduce(
        console,
        "Two pipelines in one Airflow: parts uses a SageMaker endpoint, surfaces uses a model of Lookout for Vision. "
        "Each pipeline has its own buckets and queue. Both run at the same time.",
    )
    examples(folder / "examples")
    pipelines: list[Pipeline] = []

    def make(world: World) -> Mapping[str, Mapping[str, str]]:
        pipelines.extend(two_pipelines.make(world, folder / "examples"))
        return {str(pipeline.name): pipeline.options for pipeline in pipelines}

    options = WorldOptions(
        aws={"examples": str(folder / "examples"), **two_pipelines.AWS, **ODDITIES},
        settings=_SETTINGS,
        pipelines=make,
    )
    with show(console) as display, World(folder, options, display.say) as world:
        ended = _run(world, display, pipelines)
        of_both = list(two_pipelines.dag_problems(world.api, pipelines))
        display.say("ending all processes")
    of_each: list[str] = []
    for one in ended:
        name, service = one.run.pipeline.name, SERVICES[one.run.pipeline.kind]
        console.print(Text(f"\n{name}, on {service.name}", style="bold underline"))
        console.print(Text(service.about), soft_wrap=True)
        of_each += _tell(console, one)
    console.print(Text("\nBoth pipelines", style="bold underline"))
    together = two_pipelines.seconds_together([one.after.model for one in ended])
    if not together:
        of_both.append("the pipelines did not run at the same time")
    *its_own, watchdog = two_pipelines.dag_ids(pipelines)
    console.print(
        Text(
            f"\nBoth models were on at the same time for {together:.0f} s. Airflow has the DAGs {', '.join(its_own)}, "
            f"and {watchdog} for both pipelines."
        ),
        soft_wrap=True,
    )
    if of_both:
        tell_problems(console, of_both)
    elif of_each:
        console.print(Text("\nNot all is well: see the problems above.", style="bold red"))
    else:
        console.print(Text("\nAll is well with both, and both models are off.", style="bold green"))
    return [*of_each, *of_both]


def _introduce(console: Console, more: str) -> None:
    line = "Label detection on Airflow: a demo that runs on this machine alone, without an AWS account."
    console.print(Text(line, style="bold"))
    if more:
        console.print(Text(more), soft_wrap=True)


@dataclass(frozen=True)
class _Ended:
    """A run that has ended: the uploaded pictures, the state of the world, the ends of the failed tasks' logs."""

    run: PipelineRun
    uploaded: Sequence[Picture]
    after: Aftermath
    logs: Sequence[str]


def _run(world: World, display: Show, pipelines: Sequence[Pipeline]) -> list[_Ended]:
    """Upload each pipeline's pictures, run all DAGs at the same time, and read the state of the world."""
    for pipeline in pipelines:
        world.api.wait_for_dag(pipeline.dag_id, check=world.check)
    left_out = HARD_KEYS[5:] if len(pipelines) > 1 else ()  # the demo of one pipeline has them
    uploaded = [[p for p in pictures(pipeline.kind) if p.key not in left_out] for pipeline in pipelines]
    for pipeline, its in zip(pipelines, uploaded, strict=True):
        bucket = pipeline.options["source_bucket"]
        upload(world.s3, bucket, its)
        display.say(f"{pipeline.prefix}{len(its)} pictures uploaded to s3://{bucket}")
    runs = []
    for pipeline, its in zip(pipelines, uploaded, strict=True):
        runs.append(PipelineRun(pipeline, world.api.trigger(pipeline.dag_id), len(its)))
        display.say(f"{pipeline.prefix}run {runs[-1].run_id} triggered")
    states = watch(world, runs, display.draw, _RUN_SECONDS)
    return [_ended(world, run, state, its) for run, state, its in zip(runs, states, uploaded, strict=True)]


def _ended(world: World, run: PipelineRun, state: str, uploaded: Sequence[Picture]) -> _Ended:
    pipeline = run.pipeline
    queue = world.control(f"queues/{pipeline.options['queue_url'].rpartition('/')[2]}")
    after = gather(
        world.s3,
        world.sqs,
        pipeline.options,
        pipeline.model(world),
        run.run_id,
        state,
        queue["second_deliveries"],
    )
    return _Ended(run, uploaded, after, list(_failures(world.api, run)))


def _tell(console: Console, ended: _Ended) -> Sequence[str]:
    """Print the results of a run; returns the problems."""
    verdict = check(ended.uploaded, ended.after)
    tell(console, verdict, ended.after)
    for log in ended.logs:
        console.print(Text(log), soft_wrap=True)
    return verdict.problems


def upload(s3: S3Client, bucket: str, uploaded: Sequence[Picture]) -> None:
    """Upload each picture `uploads` times; repeated uploads come last, as from a camera that retries."""
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


def _failures(api: AirflowApi, run: PipelineRun) -> Iterator[str]:
    """The last lines of the log of each failed task, earliest failure first."""
    dag_id = run.pipeline.dag_id
    failed = [task for task in api.tasks(dag_id, run.run_id) if task.state == "failed"]
    for task in sorted(failed, key=lambda task: task.end_date or ""):
        log = api.log(dag_id, run.run_id, task.task_id, task.try_number, task.map_index).splitlines()
        shown = [line for line in log if "::group::" not in line and "::endgroup::" not in line]
        yield "\n".join([f"\nThe last lines of the log of {task.name}, try {task.try_number}:", *shown[-_LOG_LINES:]])
