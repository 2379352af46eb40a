"""One Airflow for several teams: DAG files from two folders and a Git repository, our packages from the wheel.

`three_lines`: a folder with the shortest possible DAG file, configured by the section. `astro`: an Astro project with a
DAG of its own and a DAG file for each of two teams. `repository`: a Git repository with a DAG file and a pipelines.yaml
beside it.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from label_detection_core.model.lease import Lease, lease_name
from sandbox.environment import PROJECT
from sandbox.world import World, WorldOptions
from tests.install import astro
from tests.install.airflows import THREE_LINES, Airflow
from tests.seed import SEED

_ACCOUNT = "123456789012"
_CALL = "# A DAG file for Airflow.\nfrom label_detection.dags import labels\nlabels({prefix!r}, **{options!r})\n"
_AWS = {"start-seconds": "3", "stop-seconds": "2", "rate": "0", "latency": "0", "duplicate-share": "0", "seed": SEED}
_BUNDLES = "airflow.dag_processing.bundles.local.LocalDagBundle", "airflow.providers.git.bundles.git.GitDagBundle"


@dataclass(frozen=True)
class Team:
    """A team's DAG. `model`: its model's name on the embedded AWS's control pages; `options`: the team's options."""

    dag_id: str
    model: str
    options: Mapping[str, str]

    @property
    def dag_ids(self) -> set[str]:
        """All DAG ids of the team, including its watchdog."""
        prefix, _, name = self.dag_id.partition("label_detection")
        own = {f"{prefix}label_detection{name}", f"{prefix}label_detection_backfill{name}"}
        return own | {self.watchdog_dag_id}

    @property
    def watchdog_dag_id(self) -> str:
        """The DAG id of the watchdog with the team's prefix."""
        return f"{self.dag_id.partition('label_detection')[0]}label_detection_watchdog"


class SharedAirflow(World):
    """The whole setup. `teams`: by name, each with its DAGs; `own_dag`: a DAG that belongs to no team."""

    teams: Mapping[str, Team]
    own_dag: Team

    def __init__(self, folder: Path, airflow: Airflow) -> None:
        project = astro.make(folder / "astro", is_package=True)
        self._folders = {"three_lines": folder / "three_lines", "astro": project / "dags", "repository": folder / "git"}
        (folder / "plugins").mkdir()
        options = WorldOptions(
            dags_folder=self._folders["three_lines"],
            plugins_folder=folder / "plugins",
            airflow=airflow.command("airflow", path=[project]),
            aws={name: str(value) for name, value in {**_AWS, "more-models": 4}.items()},
            settings={"schedule": "", "wait_minutes": "0", "max_tasks": "1"},
            environment={
                "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": self._bundles(),
                "AIRFLOW_CONN_REPOSITORY": json.dumps({"conn_type": "git", "host": str(self._folders["repository"])}),
            },
        )
        super().__init__(folder / "world", options)

    def _bundles(self) -> str:
        """The value of Airflow's option `dag_bundle_config_list`."""
        local, git = _BUNDLES
        folders = [name for name in self._folders if name != "repository"]
        bundles: list[dict[str, Any]] = [
            {"name": name, "classpath": local, "kwargs": {"path": str(self._folders[name])}} for name in folders
        ]
        from_git = {"git_conn_id": "repository", "tracking_ref": "main", "subdir": "dags"}
        return json.dumps([*bundles, {"name": "repository", "classpath": git, "kwargs": from_git}])

    def _read_aws(self, env_file: Path) -> None:
        super()._read_aws(env_file)
        section = {option: self.setting(option) for option in ("queue_url", "source_bucket", "final_bucket")}
        self.teams = {
            "section": Team("label_detection", "", section),
            "team_a": Team("team_a_label_detection", "2", self._resources("team-a", "2")),
            "team_b": Team("team_b_label_detection", "3", self._resources("team-b", "3")),
            "repository": Team("git_label_detection__leaves", "4", self._resources("leaves", "4")),
        }
        self.own_dag = Team("own_dag", "5", self._resources("parts", "5"))
        self._write_dag_files()

    def _resources(self, name: str, model: str) -> dict[str, str]:
        """Create buckets, a queue and a model; return them as options."""
        source, final = f"{name}-source", f"{name}-final"
        for bucket in (source, final):
            self.s3.create_bucket(Bucket=bucket)
        queue_url = self.sqs.create_queue(QueueName=name)["QueueUrl"]
        configuration: Any = {"QueueArn": f"arn:aws:sqs:us-east-1:{_ACCOUNT}:{name}", "Events": ["s3:ObjectCreated:*"]}
        self.s3.put_bucket_notification_configuration(
            Bucket=source, NotificationConfiguration={"QueueConfigurations": [configuration]}
        )
        options = {"queue_url": queue_url, "source_bucket": source, "final_bucket": final}
        return options | {"model_arn": self.model(model)["arn"]}

    def leave_on(self, team: Team) -> None:
        """Start a team's model with a lease that has just expired, as a lost run leaves it."""
        arn = team.options["model_arn"]
        self.rekognition.start_project_version(ProjectVersionArn=arn, MinInferenceUnits=1)
        ended = datetime.now(UTC)
        facts = {"dag_id": team.dag_id, "run_id": "gone", "since": ended, "until": ended}
        lease = Lease(model_arn=arn, units=1, watchdog_dag_id=team.watchdog_dag_id, **facts)
        self.api.call("POST", "/variables", {"key": lease_name(arn), "value": lease.model_dump_json()})

    def _write_dag_files(self) -> None:
        self._folders["three_lines"].mkdir()
        (self._folders["three_lines"] / "pictures.py").write_text(THREE_LINES)
        for team in ("team_a", "team_b"):
            call = _CALL.format(prefix=f"{team}_", options=dict(self.teams[team].options))
            (self._folders["astro"] / f"{team}.py").write_text(call)
        shutil.copy(PROJECT / "examples" / "own_dag.py", self._folders["astro"])
        dags = self._folders["repository"] / "dags"
        dags.mkdir(parents=True)
        (dags / "leaves.py").write_text(_CALL.format(prefix="git_", options={"pipelines": "pipelines.yaml"}))
        (dags / "pipelines.yaml").write_text(yaml.safe_dump({"leaves": dict(self.teams["repository"].options)}))
        _commit(self._folders["repository"])

    def upload(self, team: Team, count: int, picture: bytes) -> None:
        """Upload pictures with different bytes to a team's source bucket. Each key begins with the team's DAG id."""
        for number in range(count):
            key = f"{team.dag_id}/{number}.png"
            self.s3.put_object(Bucket=team.options["source_bucket"], Key=key, Body=picture + key.encode())

    def keys(self, bucket: str) -> list[str]:
        """All keys of a bucket, except reports and journals."""
        listed = self.s3.list_objects_v2(Bucket=bucket).get("Contents", [])
        return [entry["Key"] for entry in listed if not entry["Key"].startswith("runs/")]

    def report(self, team: Team, run_id: str) -> dict[str, Any]:
        """The report of a team's run."""
        answer = self.s3.get_object(Bucket=team.options["final_bucket"], Key=f"runs/{run_id}/report.json")
        found: dict[str, Any] = json.loads(answer["Body"].read())
        return found


def _commit(folder: Path) -> None:
    git = ["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@example.com"]
    for words in (["init", "-q", "-b", "main"], ["add", "."], ["commit", "-qm", "The DAGs"]):
        subprocess.run([*git, *words], check=True)
