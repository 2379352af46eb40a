"""The place of the measurements: an embedded AWS, and an Airflow on its own Postgres; and the facts about a run."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from sqlalchemy import Engine, create_engine, text

from bench.usage import Meter, Usage
from sandbox.environment import PROJECT
from sandbox.postgres import postgres
from sandbox.world import World, WorldOptions

DAG_ID = "label_detection"
#: Seconds that the model takes to start, to stop, and for a call. In AWS a start and a stop take minutes.
START_SECONDS, STOP_SECONDS, LATENCY = 8.0, 3.0, 0.2
RATE = 5.0  # images per second and unit
_RUN_SECONDS = 3600
_UPLOADERS = 8


@dataclass(frozen=True)
class RunFacts:
    """The facts about one run. Times are in seconds since 1970; `rows`: the growth of Airflow's database."""

    images: int
    run_id: str
    state: str
    running_at: float
    first_detect_at: float
    last_detect_at: float
    stop_asked_at: float
    on_seconds: float
    throttled: int
    analysis: tuple[float, float]  # first task queued, last task ended
    peak_bytes: list[int]  # of each analysis task
    rows: int
    xcom_bytes: dict[str, int]
    usage: Usage
    report: dict[str, Any]

    @property
    def running_seconds(self) -> float:
        """Seconds from RUNNING to the stop request."""
        return self.stop_asked_at - self.running_at


class MeasuredWorld:
    """A running world with methods that measure runs."""

    def __init__(self, world: World, engine: Engine) -> None:
        self.world = world
        self._engine = engine
        pixels = np.random.default_rng(7).integers(0, 255, (64, 64, 3), dtype=np.uint8)
        self.picture = cv2.imencode(".jpg", pixels)[1].tobytes()
        self._uploaded = 0
        world.control(
            "oddities", "PUT", {"duplicate_share": 0}
        )  # without second deliveries, because a report counts them

    def upload(self, count: int) -> None:
        """Upload `count` small, different pictures: the measurement is of the pipeline, not of the detector."""
        s3, bucket = self.world.s3, self.world.setting("source_bucket")
        first, self._uploaded = self._uploaded, self._uploaded + count

        def put(number: int) -> None:
            s3.put_object(Bucket=bucket, Key=f"line 3/{number}.jpg", Body=self.picture + str(number).encode())

        with ThreadPoolExecutor(_UPLOADERS) as pool:
            list(pool.map(put, range(first, first + count)))
        self.world.control("queues", "DELETE")  # exact counts: a run that sees an old count of zero is skipped

    def set_model(self, **what: Any) -> None:
        """Change the model: rate, latency, status."""
        self.world.control("model", "PUT", what)

    def run(self, images: int, dag_id: str = DAG_ID, **params: Any) -> RunFacts:
        """Upload `images` images and label them in one run; raises RuntimeError if the run does not label all."""
        self.upload(images)
        before, rows = self.world.model(), self._count_rows()
        with Meter(self.world) as meter:
            run_id = self.world.api.trigger(dag_id, conf=params)
            state = self.world.api.wait_for_run(dag_id, run_id, _RUN_SECONDS, self.world.check)
        report = self._report(run_id) if dag_id == DAG_ID else {}
        labelled = report["images"]["labelled"] if report else images
        if (state, labelled) != ("success", images):  # the measurement would be of another run than intended
            raise RuntimeError(f"the run {run_id} is {state}, and labelled {labelled} of {images} images")
        model = self.world.model()
        history = {change["status"]: _seconds(change["at"]) for change in model["history"]}
        analysis, pids = self._analysis(run_id)
        return RunFacts(
            images=images,
            run_id=run_id,
            state=state,
            running_at=history["RUNNING"],
            first_detect_at=_seconds(model["first_detect_at"]),
            last_detect_at=_seconds(model["last_detect_at"]),
            stop_asked_at=history.get("STOPPING", 0.0),
            on_seconds=model["on_seconds"] - before["on_seconds"],
            throttled=model["throttled"] - before["throttled"],
            analysis=analysis,
            peak_bytes=[meter.peaks.get(pid, 0) for pid in pids],
            rows=self._count_rows() - rows,
            xcom_bytes=self._xcom_bytes(run_id),
            usage=meter.usage,
            report=report,
        )

    def _report(self, run_id: str) -> dict[str, Any]:
        answer = self.world.s3.get_object(Bucket=self.world.setting("final_bucket"), Key=f"runs/{run_id}/report.json")
        found: dict[str, Any] = json.loads(answer["Body"].read())
        return found

    def _analysis(self, run_id: str) -> tuple[tuple[float, float], list[int]]:
        query = text(
            "select queued_dttm, end_date, pid from task_instance where run_id = :run and task_id = 'analyse_images'"
        )
        with self._engine.connect() as connection:
            tasks = connection.execute(query, {"run": run_id}).all()
        return (
            (min(t.queued_dttm for t in tasks).timestamp(), max(t.end_date for t in tasks).timestamp()),
            [t.pid for t in tasks],
        )

    def _count_rows(self) -> int:
        with self._engine.connect() as connection:
            tables = connection.execute(text("select tablename from pg_tables where schemaname = 'public'")).scalars()
            return sum(connection.execute(text(f'select count(*) from "{table}"')).scalar_one() for table in tables)  # noqa: S608  # names from the catalogue

    def _xcom_bytes(self, run_id: str) -> dict[str, int]:
        query = text(
            "select task_id, map_index, sum(length(value::text)) as bytes from xcom where run_id = :run group by 1, 2"
        )
        with self._engine.connect() as connection:
            found = connection.execute(query, {"run": run_id}).all()
        return {f"{row.task_id}[{row.map_index}]": int(row.bytes) for row in found}


@contextmanager
def measured_world(**settings: str) -> Iterator[MeasuredWorld]:
    """Start a world with the pipeline's DAG and the DAG for comparison, and end it on exit."""
    folder = Path(tempfile.mkdtemp(prefix="label-detection-bench-"))
    try:
        (folder / "examples").mkdir()
        dags = folder / "dags"
        dags.mkdir()
        for file in (PROJECT / "dags" / "label_detection_dag.py", *(PROJECT / "bench" / "dags").glob("*.py")):
            shutil.copy(file, dags)
        aws = {
            "examples": str(folder / "examples"),
            "start-seconds": str(START_SECONDS),
            "stop-seconds": str(STOP_SECONDS),
            "rate": str(RATE),
            "latency": str(LATENCY),
        }
        with postgres(folder / "logs") as url:
            options = WorldOptions(
                dags_folder=dags,
                sql_alchemy_conn=url,
                aws=aws,
                settings={"schedule": "", "wait_minutes": "0", **settings},
            )
            with World(folder, options) as world:
                world.api.wait_for_dag(DAG_ID, check=world.check)
                yield MeasuredWorld(world, create_engine(url))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _seconds(moment: str | None) -> float:
    return datetime.fromisoformat(moment).timestamp() if moment else 0.0
