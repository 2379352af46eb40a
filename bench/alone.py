"""Measurements without Airflow: the drain's rate, the pace, a million images, and the cost of parsing a DAG file."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

import boto3
import cv2
import numpy as np
import requests

from bench.drain_process import Orders
from bench.measured_world import LATENCY
from bench.measures import Measure, at_most
from sandbox.environment import PROJECT, PYTHONPATH, cleaned
from sandbox.waiting import wait_until

RATE_IMAGES = 3000
MILLION = (10_000, 1_000_000)
#: The model's images per second, the number of images, the number of consumers.
PACES = ((5.0, 200, 2), (25.0, 750, 4))
OURS, ADAPTIVE = "ours", "botocore's adaptive mode"
_MODES = {OURS: None, ADAPTIVE: "adaptive"}
_PACE_NAMES = {OURS: "this project's pace", ADAPTIVE: ADAPTIVE}
_ENVIRONMENT = {"PYTHONPATH": os.pathsep.join([PYTHONPATH, str(PROJECT / "plugins")])}


class Aws:
    """An embedded AWS for one measurement, with a model and the addresses that a drain needs."""

    def __init__(self, env_file: Path) -> None:
        self.environment = dict(line.split("=", 1) for line in env_file.read_text().splitlines() if "=" in line)
        options = {name.rpartition("__")[2].lower(): value for name, value in self.environment.items()}
        self.orders: dict[str, Any] = {
            name: options[name] for name in ("queue_url", "source_bucket", "final_bucket", "model_arn")
        }
        self._uploaded = 0

    def model(self, **what: Any) -> dict[str, Any]:
        """Change the model; returns the state that the control page shows."""
        url = f"{self.environment['AWS_ENDPOINT_URL']}/_local/model"
        found: dict[str, Any] = requests.request("PUT", url, json=what, timeout=30).json()
        return found

    def upload(self, count: int, size: int = 0) -> None:
        """Upload `count` pictures, all different, each of at least `size` bytes."""
        pixels = np.random.default_rng(7).integers(0, 255, (64, 64, 3), dtype=np.uint8)
        picture = cv2.imencode(".jpg", pixels)[1].tobytes()
        s3 = boto3.Session("local", "local", region_name=self.environment["AWS_DEFAULT_REGION"]).client(
            "s3", endpoint_url=self.environment["AWS_ENDPOINT_URL"]
        )
        first, self._uploaded = self._uploaded, self._uploaded + count
        for number in range(first, first + count):
            body = picture.ljust(size) + b"%d" % number
            s3.put_object(Bucket=self.orders["source_bucket"], Key=f"{number}.jpg", Body=body)

    def drain(self, orders: Orders) -> dict[str, Any]:
        """Run a consumer in its own process; returns the facts that it prints."""
        return run_drain(orders, self.environment)

    def start_drain(self, orders: Orders) -> subprocess.Popen[bytes]:
        """Start a consumer in its own process in the background."""
        command = [sys.executable, "-m", "bench.drain_process", json.dumps(asdict(orders))]
        return subprocess.Popen(command, cwd=PROJECT, env=_environment(self.environment), stdout=subprocess.DEVNULL)


def run_drain(orders: Orders, environment: dict[str, str]) -> dict[str, Any]:
    """Run a drain in its own process; returns the facts that it prints."""
    return _run(["-m", "bench.drain_process", json.dumps(asdict(orders))], environment)


@contextmanager
def embedded_aws() -> Iterator[Aws]:
    """Start an embedded AWS, and end it on exit."""
    with tempfile.TemporaryDirectory(prefix="label-detection-bench-") as name:
        folder = Path(name)
        (folder / "examples").mkdir()
        options = ["--port", "0", "--env-file", str(folder / "aws.env"), "--examples", str(folder / "examples")]
        command = [sys.executable, "-m", "local_aws", *options, "--latency", str(LATENCY)]
        with (folder / "aws.log").open("w") as log:
            process = subprocess.Popen(command, cwd=PROJECT, env=cleaned(), stdout=log, stderr=log)
        try:
            wait_until((folder / "aws.env").exists, 60, "the embedded AWS")
            yield Aws(folder / "aws.env")
        finally:
            process.terminate()
            process.wait(10)


def measure_rate(aws: Aws) -> dict[str, Any]:
    """The speed of one draining process with a model without a rate limit and without latency."""
    aws.model(status="RUNNING", rate=0, latency=0)
    aws.upload(RATE_IMAGES)
    return aws.drain(Orders(**aws.orders, images_per_second=1_000_000))


def measure_profile(aws: Aws) -> dict[str, Any]:
    """The share of time of that process by package, from samples of threads that hold the interpreter's lock."""
    aws.model(status="RUNNING", rate=0, latency=0)
    aws.upload(2 * RATE_IMAGES)
    with tempfile.TemporaryDirectory() as folder:
        stacks = Path(folder) / "stacks"
        drain = aws.start_drain(Orders(**aws.orders, images_per_second=1_000_000))
        time.sleep(4)  # the drain has begun by then
        command = ["py-spy", "record", "--format", "raw", "--gil", "--rate", "200", "--duration", "12"]
        subprocess.run(
            [str(Path(sys.executable).parent / command[0]), *command[1:], "-o", str(stacks), "--pid", str(drain.pid)],
            check=True,
            capture_output=True,
        )
        drain.wait(300)
        return {"share": shares(stacks.read_text())}


def shares(stacks: str) -> dict[str, float]:
    """Shares by the innermost package of each stack in py-spy's raw format, largest first."""
    found: Counter[str] = Counter()
    for line in stacks.splitlines():
        frames, _, count = line.rpartition(" ")
        places = [_package(frame) for frame in frames.split(";")]
        named = [place for place in places if place != "Python's library"]
        found[named[-1] if named else "Python's library"] += int(count)
    total = found.total() or 1
    return {name: round(count / total, 4) for name, count in found.most_common()}


def _package(frame: str) -> str:
    path = re.search(r"\(([^():]+)", frame)
    parts = path[1].split("/") if path else []
    if "label_detection_core" in parts or "label_detection" in parts or "bench" in parts:
        return "this project"
    if "site-packages" in parts:
        return parts[parts.index("site-packages") + 1]
    for package in ("botocore", "urllib3", "boto3", "airflow"):
        if package in parts:
            return package
    return "Python's library"


def measure_pace(aws: Aws, rate: float, images: int, consumers: int, mode: str) -> dict[str, Any]:
    """Several processes drain one queue with a rate-limited model; each process has its own pace."""
    aws.model(status="STOPPED", rate=rate, latency=LATENCY)
    aws.upload(images)
    before = aws.model(status="RUNNING")["throttled"]
    orders = [
        Orders(**aws.orders, images_per_second=rate / consumers, number=number, botocore_mode=_MODES[mode])
        for number in range(consumers)
    ]
    with ThreadPoolExecutor(consumers) as pool:
        done = list(pool.map(aws.drain, orders))
    model = aws.model()
    seconds = _seconds(model["last_detect_at"]) - _seconds(model["first_detect_at"])
    throttled = model["throttled"] - before
    return {
        "mode": mode,
        "rate": rate,
        "images": images,
        "consumers": consumers,
        "use": images / (rate * seconds),
        "throttled": throttled / (throttled + images),
        "least_share": min(one["labelled"] for one in done) / (images / consumers),
    }


def measure_million(images: int) -> dict[str, Any]:
    """A drain whose queue, S3 and model are test doubles."""
    return {"images": images} | _run(["-m", "bench.million", str(images)], {})


_IMPORT = """
import json, re, runpy, sys, time
from pathlib import Path
import airflow.sdk
from airflow.sdk import DAG, BaseOperator, BaseSensorOperator, Param, TriggerRule, Variable
from airflow.sdk.configuration import conf
from airflow.triggers.base import BaseTrigger
def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) * 1024
before, began = peak(), time.perf_counter()
runpy.run_path(sys.argv[1])
seconds = time.perf_counter() - began
print(json.dumps({"seconds": seconds, "bytes": peak() - before}))
"""


def measure_parse(file: Path) -> dict[str, Any]:
    """The time and the memory that importing a DAG file needs in addition to Airflow's import."""
    with tempfile.TemporaryDirectory() as home:
        found = _run(["-c", _IMPORT, str(file)], {"AIRFLOW_HOME": home, "AIRFLOW__CORE__LOAD_EXAMPLES": "False"})
    return {"file": file.name} | found


def rows(samples: dict[str, list[dict[str, Any]]]) -> list[Measure]:
    """The table's rows from samples by part."""
    found: list[Measure] = []
    if mine := samples.get("rate"):
        against = "one core: seconds of CPU time, not of elapsed time"
        per_core = tuple(s["labelled"] / s["cpu"] for s in mine)
        found += [
            Measure("the drain alone", "model without a limit: images per CPU second", per_core, "", against),
            Measure("the drain alone", "model without a limit: images/s",
                tuple(s["labelled"] / s["seconds"] for s in mine), "", "two cores, of which the embedded AWS uses one"),
        ]  # fmt: skip
    for profile in samples.get("profile", []):
        for name, share in list(profile["share"].items())[:5]:
            found.append(
                Measure(
                    "the drain alone", f"Python time in {name}", (100 * share,), "%", "all Python time of the drain"
                )
            )
    for rate, images, consumers in PACES:
        for mode in _MODES:
            mine = [s for s in samples.get("pace", []) if (s["rate"], s["mode"]) == (rate, mode)]
            if mine:
                name = f"{_PACE_NAMES[mode]}: {consumers} consumers, {images} images, {rate:g} images/s"
                found += [
                    Measure("pace", f"{name}: use of the model", _all(mine, "use"), "", "the model's limit"),
                    Measure("pace", f"{name}: share of throttled calls", _all(mine, "throttled"), "", "all calls",
                        at_most(0.02) if mode == OURS else None),
                    Measure("pace", f"{name}: smallest share", _all(mine, "least_share"), "", "1: equal shares"),
                ]  # fmt: skip
    by_size = {s["images"]: s for s in samples.get("million", [])}
    if len(by_size) == len(MILLION):
        few, many = (by_size[size] for size in MILLION)
        against = "the run of 10,000 images; queue, S3 and model are test doubles"
        memory = many["peak_bytes"] / few["peak_bytes"]
        found += [
            Measure("scale", "1,000,000 images: peak memory", (many["peak_bytes"] / 1024**2,), "MB", against),
            Measure(
                "scale",
                "1,000,000 images: peak memory, divided by that at 10,000",
                (memory,),
                "",
                "1: no growth",
                at_most(1.1),
            ),
            Measure("scale", "1,000,000 images: XCom", (many["xcom_bytes"],), "bytes", "2 KB", at_most(2048)),
            Measure("scale", "1,000,000 images: images/s", (many["images"] / many["seconds"],), "", against),
        ]
    for file in sorted({s["file"] for s in samples.get("parse", [])}):
        mine = [s for s in samples["parse"] if s["file"] == file]
        against = "importing Airflow alone"
        found += [
            Measure("parse", f"{file}: time", _all(mine, "seconds"), "s", against, at_most(0.3)),
            Measure("parse", f"{file}: memory", tuple(s["bytes"] / 1024**2 for s in mine), "MB", against),
        ]
    return found


def _run(arguments: list[str], environment: dict[str, str]) -> dict[str, Any]:
    """Run Python with this project on its path; returns the JSON in the last line of its output."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=PROJECT,
        env=_environment(environment),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(arguments[:2])} failed:\n{done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _environment(more: dict[str, str]) -> dict[str, str]:
    return cleaned() | _ENVIRONMENT | {"AIRFLOW_CONN_AWS_DEFAULT": "aws://"} | more


def _seconds(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()


def _all(samples: list[dict[str, Any]], name: str) -> tuple[float, ...]:
    return tuple(sample[name] for sample in samples)
