"""Break a running world, and repair it."""

from __future__ import annotations

import shutil
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from sandbox.airflow_api import ApiError
from sandbox.environment import PROJECT
from sandbox.world import COMPONENTS
from tests.model_calls import Call
from tests.system.faults.kind import calls, hook_of
from tests.system.faults.watching import OVER, WatchedPipeline
from tests.system.pipeline import DAG_ID

WATCHDOG = "label_detection_watchdog"
DAGS = (DAG_ID, WATCHDOG, "label_detection_backfill")
DAG_FILE = "label_detection_dag.py"
_MEMORY_GROUPS = Path("/sys/fs/cgroup/memory")


class BreakablePipeline(WatchedPipeline):
    """The pipeline of a running world, with methods that break and repair it."""

    @property
    def dags_folder(self) -> Path:
        """The world's own copy of the dags folder."""
        return self.world.options.dags_folder

    def kill_task(self, run_id: str, task_id: str, map_index: int | None = None) -> float:
        """Kill a task's process with SIGKILL; return the time, in seconds since 1970."""
        return _kill(self.task_process(run_id, task_id, map_index))

    def kill_supervisor(self, run_id: str, task_id: str) -> float:
        """Kill the executor's worker process, which supervises the task's, with SIGKILL; return the time."""
        supervisor = self.task_process(run_id, task_id).parent()
        assert supervisor is not None
        assert supervisor.pid != self.world.processes["scheduler"].pid
        return _kill(supervisor)

    def exhaust(self, run_id: str, task_id: str) -> tuple[float, str]:
        """Kill a task's process by a memory limit, or else by SIGKILL; return the time and the way."""
        process = self.task_process(run_id, task_id)
        group = _MEMORY_GROUPS / f"label-detection-{process.pid}"
        try:
            group.mkdir()
        except OSError:  # no permission, or cgroups version 2
            return _kill(process), "SIGKILL, as from the kernel"
        try:
            (group / "memory.limit_in_bytes").write_text("4K")  # no further page of memory
            now = time.time()
            (group / "cgroup.procs").write_text(str(process.pid))
            process.wait(30)
        finally:
            group.rmdir()
        return now, "a memory cgroup"

    def kill(self, *components: str) -> float:
        """Kill components and all processes that they started with SIGKILL; return the time."""
        now = time.time()
        for name in components:
            process = self.world.processes[name]
            members = process.members()
            process.kill()
            for pid in members:
                with suppress(psutil.NoSuchProcess):
                    psutil.Process(pid).send_signal(signal.SIGKILL)
        return now

    def kill_alone(self, component: str) -> float:
        """Kill a component's main process; its child processes live on. Returns the time."""
        self.world.processes[component].kill()
        return time.time()

    def start(self, *components: str) -> None:
        """Start ended components again, and wait until Airflow is healthy."""
        for name in components:
            if self.world.processes[name].exit_code is not None:
                self.world.start_component(name)
        self.wait_until(lambda: set(self.world.api.health().values()) == {"healthy"}, 120)

    def add_fault(self, service: str, operation: str, **fault: Any) -> None:
        """Make calls of an operation fail. Faults that were set before stay."""
        faults = [{"service": service, "operation": operation, **fault}, *self.world.control("faults")]
        self.world.control("faults", "PUT", faults)

    def fail_model(self, call: Call, **fault: Any) -> None:
        """Make a call to the model fail. Faults that were set before stay."""
        self.add_fault(calls().service, calls().operations[call], **fault)

    def hold(self, call: Call, when: str = "before") -> None:
        """Delay the next such call by minutes, so that its caller can be killed during the call. See `is_held`."""
        self.fail_model(call, delay=300, times=1, when=when)

    def no_switch(self) -> None:
        """Make the creation of a dead man's switch fail, for tests of another layer."""
        for operation in ("CreateSchedule", "UpdateSchedule"):
            self.add_fault("scheduler", operation, status=403, code="AccessDeniedException")

    def heal(self) -> None:
        """Remove all faults."""
        self.world.control("faults", "DELETE")

    def freeze(self, status: str) -> None:
        """Wait until the model is in a state, and keep it there until `put_model`."""
        self.until_status(status)
        self.world.control("model", "PUT", {"status": status})

    def land_start(self) -> None:
        """Send a start request, as if one that was on its way arrives now."""
        with hook_of(self.world.aws_environment) as hook:
            hook.start(1)

    def stop_the_model(self) -> None:
        """Stop the model, as somebody outside the pipeline does."""
        with hook_of(self.world.aws_environment) as hook:
            hook.stop()

    def mark_task(self, run_id: str, task_id: str, state: str) -> None:
        """Mark a task as success or failed."""
        path = f"/dags/{DAG_ID}/dagRuns/{run_id}/taskInstances/{task_id}"
        self.world.api.call("PATCH", path, {"new_state": state})

    def mark_run(self, run_id: str, state: str) -> float:
        """Mark a run as success or failed; return the time."""
        self.world.api.set_run_state(DAG_ID, run_id, state)
        return time.time()

    def clear(self, run_id: str, *task_ids: object) -> None:
        """Clear failed tasks only; each is an id or [id, map index]."""
        body = {"dag_run_id": run_id, "task_ids": list(task_ids), "only_failed": True, "dry_run": False}
        self.world.api.call("POST", f"/dags/{DAG_ID}/clearTaskInstances", body)

    def delete_run(self, run_id: str, dag_id: str = DAG_ID) -> float:
        """Delete a run, even a running one; return the time."""
        with suppress(ApiError):  # only a run that is not over must be set to queued first
            if self.world.api.run_state(dag_id, run_id) not in OVER:
                self.world.api.set_run_state(dag_id, run_id, "queued")
        self.world.api.call("DELETE", f"/dags/{dag_id}/dagRuns/{run_id}")
        return time.time()

    def look_now(self) -> float:
        """Run the watchdog, and wait until the run has ended; return the time of the trigger."""
        at = time.time()
        run_id = self.world.api.trigger(WATCHDOG)
        assert self.world.api.wait_for_run(WATCHDOG, run_id, 240, self.world.check) == "success"
        return at

    def rewrite_dag(self, old: str, new: str) -> None:
        """Replace `old` by `new` in the DAG file, and wait until Airflow has parsed it."""
        path = self.dags_folder / DAG_FILE
        text = path.read_text()
        assert old in text, f"{old!r} is no longer in {DAG_FILE}: change the test"
        self._write(path, text.replace(old, new, 1))

    def restore_dag(self) -> None:
        """Restore the DAG file from the repository."""
        path, ours = self.dags_folder / DAG_FILE, PROJECT / "dags" / DAG_FILE
        if path.read_bytes() != ours.read_bytes():
            self._write(path, ours.read_text())

    def _write(self, path: Path, text: str) -> None:
        dag = self.world.api.call("GET", f"/dags/{DAG_ID}")
        had_errors = bool(self.world.api.import_errors())
        path.write_text(text)
        self.world.api.call("PUT", f"/parseDagFile/{dag['file_token']}")

        def read() -> bool:
            now = self.world.api.call("GET", f"/dags/{DAG_ID}")
            if self.world.api.import_errors():
                return not had_errors
            return bool(now["last_parsed_time"] != dag["last_parsed_time"])

        self.wait_until(read, 60)

    def tidy(self) -> None:
        """Restore the initial state: no faults, runs or leases, all components alive, queue and buckets empty."""
        self.heal()
        self.start(*COMPONENTS)
        self.restore_dag()
        for dag_id in self._dags():
            self.world.api.pause(dag_id, False)
        self._end_runs()
        self.put_model("STOPPED")
        for variable in self.lease_variables():
            self.world.api.call("DELETE", f"/variables/{variable['key']}")
        scheduler = self.client("scheduler")
        for schedule in scheduler.list_schedules()["Schedules"]:
            scheduler.delete_schedule(Name=schedule["Name"])
        self.empty()

    def empty(self) -> None:
        """Empty the buckets and the queue, including messages in flight."""
        url = self.world.setting("queue_url")
        for bucket in ("source_bucket", "final_bucket"):
            for key in self.keys(bucket):
                self.s3.delete_object(Bucket=self.world.setting(bucket), Key=key)
        while self.depth() != (0, 0):
            with suppress(self.sqs.exceptions.PurgeQueueInProgress):  # SQS allows one purge per minute
                self.sqs.purge_queue(QueueUrl=url)
            for message in self.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1).get(
                "Messages", []
            ):
                self.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])

    def _dags(self) -> list[str]:
        return [dag_id for dag_id in DAGS if self.world.api.has_dag(dag_id)]

    def _end_runs(self) -> None:
        """End all runs and their tasks."""
        for dag_id in self._dags():
            for run in self.world.api.runs(dag_id):
                if run["state"] in OVER:
                    continue
                with suppress(TimeoutError):
                    self.world.api.wait_for_run(dag_id, run["dag_run_id"], 20, self.world.check)
                    continue
                self.world.api.set_run_state(dag_id, run["dag_run_id"], "failed")
        self.wait_until(lambda: not self._task_processes(), 60)

    def _task_processes(self) -> list[int]:
        """Ids of the processes that run tasks: the children of the executor's workers."""
        scheduler = self.world.processes["scheduler"].pid
        found = []
        for pid in self.world.processes["scheduler"].members():
            with suppress(psutil.NoSuchProcess):
                parent = psutil.Process(pid).parent()
                if parent and parent.pid != scheduler and "LocalExecutor" in " ".join(parent.cmdline()):
                    found.append(pid)
        return found


def copy_dags(folder: Path) -> Path:
    """Copy the dags folder, so that a test can change its files."""
    shutil.copytree(PROJECT / "dags", folder, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def _kill(process: psutil.Process) -> float:
    now = time.time()
    process.kill()
    process.wait(30)  # until its parent has reaped it
    return now
