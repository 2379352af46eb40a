"""The Helm chart's values fit the project, and the commands beside them name existing things."""

from __future__ import annotations

import inspect
import re
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from airflow.configuration import conf
from airflow.jobs import scheduler_job_runner

from label_detection_core.config.settings import PIPELINES, SECTION, Settings, environment_name
from sandbox.environment import PROJECT

VALUES: dict[str, Any] = yaml.safe_load((PROJECT / "deploy" / "helm" / "values.yaml").read_text())
PAGE = (PROJECT / "docs" / "kubernetes.md").read_text()
BLOCKS = re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL)
COMMANDS = "\n".join(BLOCKS)

#: The values that name a secret, with the chart's key in it.
SECRETS = {
    "fernetKeySecretName": "fernet-key",
    "jwtSecretName": "jwt-secret",
    "apiSecretKeySecretName": "api-secret-key",
    "data.metadataSecretName": "connection",
}
#: Options that the scheduler reads, but Airflow does not document.
UNDOCUMENTED = {"scheduler": ("num_stuck_in_queued_retries",)}
#: Measured megabytes: a worker without tasks, and the maximum of a task (docs/bench.md).
IDLE_WORKER, TASK = 330, 210
WEEK = 7 * 24 * 3600


def leaves(values: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Each value that is neither mapping nor list, by its path."""
    if isinstance(values, dict):
        for name, value in values.items():
            yield from leaves(value, f"{path}.{name}" if path else name)
    elif isinstance(values, list):
        for value in values:
            yield from leaves(value, path)
    else:
        yield path, values


def options() -> list[tuple[str, str]]:
    """Section and name of every Airflow option that is set, as an option or as a variable."""
    variables = [one["name"] for one in VALUES["env"] if one["name"].startswith("AIRFLOW__")]
    variables += re.findall(r"\bAIRFLOW__\w+__\w+", VALUES.get("extraEnv") or "")
    in_page = re.findall(r"config\.(\w+)\.(\w+)=", COMMANDS)
    return [
        *((section, name) for section, names in VALUES["config"].items() for name in names),
        *((section, name) for section, name in in_page),
        *((section.lower(), name.lower()) for _, section, name in (one.split("__", 2) for one in variables)),
    ]


@pytest.mark.parametrize(("section", "name"), options(), ids=lambda value: value)
def test_every_option_that_is_set_is_one_of_airflows_or_ours(section: str, name: str) -> None:
    known = {*conf.configuration_description.get(section, {}).get("options", {}), *UNDOCUMENTED.get(section, ())}
    assert name in ({*Settings.model_fields, PIPELINES} if section == SECTION else known)


@pytest.mark.parametrize("name", UNDOCUMENTED["scheduler"])
def test_the_scheduler_reads_the_option_that_airflow_does_not_document(name: str) -> None:
    assert f'"{name}"' in inspect.getsource(scheduler_job_runner)


def test_a_task_that_no_worker_takes_is_never_failed_for_that() -> None:
    scheduler = VALUES["config"]["scheduler"]
    assert scheduler["num_stuck_in_queued_retries"] * scheduler["task_queued_timeout"] > WEEK


def test_the_charts_airflow_is_the_one_that_is_pinned() -> None:
    (pinned,) = re.findall(r"^apache-airflow==(\S+)$", (PROJECT / "requirements-dev.txt").read_text(), re.MULTILINE)
    assert VALUES["airflowVersion"] == pinned


@pytest.mark.parametrize("component", ["triggerer", "dagProcessor"])
def test_the_features_that_the_pipeline_needs_are_on(component: str) -> None:
    assert VALUES[component]["enabled"] is True


@pytest.mark.parametrize(
    "path", [path for path, _ in leaves(VALUES) if re.search(r"(?i)pass|secret|key|token|connection", path)]
)
def test_a_secret_is_named_without_its_value(path: str) -> None:
    assert path in SECRETS


def test_no_address_has_a_login() -> None:
    assert [path for path, value in leaves(VALUES) if re.search(r"://[^/\s]*@", str(value))] == []


@pytest.mark.parametrize(("path", "key"), SECRETS.items(), ids=SECRETS)
def test_a_secret_that_is_named_is_made_with_the_charts_key(path: str, key: str) -> None:
    name = dict(leaves(VALUES))[path]
    assert re.search(rf"\bsecret {re.escape(name)} {re.escape(key)}$", COMMANDS, re.MULTILINE)


def test_the_config_map_that_is_named_is_made() -> None:
    sources = yaml.safe_load(VALUES["extraEnvFrom"])
    named = [one["configMapRef"]["name"] for one in sources if "configMapRef" in one]
    assert named
    assert [name for name in named if f"create configmap {name} " not in COMMANDS] == []


def test_the_secret_with_connections_may_be_missing() -> None:
    (secret,) = [one["secretRef"] for one in yaml.safe_load(VALUES["extraEnvFrom"]) if "secretRef" in one]
    page = (PROJECT / "docs" / "notifications.md").read_text()
    assert f"create secret generic {secret['name']} " in page
    assert secret["optional"] is True, "most installations have none"


@pytest.mark.parametrize("component", ["workers", "triggerer", "dagProcessor"])
def test_pods_that_call_aws_use_the_created_service_account(component: str) -> None:
    account = VALUES[component]["serviceAccount"]
    assert account["create"] is False
    assert f"create serviceaccount {account['name']}\n" in COMMANDS
    assert f":serviceaccount:airflow:{account['name']}" in COMMANDS


@pytest.mark.parametrize("kind", ["requests", "limits"])
def test_a_worker_has_memory_for_all_of_its_tasks(kind: str) -> None:
    memory = VALUES["workers"]["celery"]["resources"][kind]["memory"]
    needed = IDLE_WORKER + VALUES["config"]["celery"]["worker_concurrency"] * TASK
    assert int(memory.removesuffix("Mi")) * 2**20 >= needed * 10**6


def set_of(name: str) -> dict[str, Any]:
    """A set of workers beside the default one."""
    (found,) = (one for one in VALUES["workers"]["celery"]["sets"] if one["name"] == name)
    return {**found, "concurrency": int(variables(found["env"])["AIRFLOW__CELERY__WORKER_CONCURRENCY"])}


def variables(entries: list[dict[str, str]]) -> dict[str, str]:
    return {entry["name"]: entry["value"] for entry in entries}


@pytest.mark.parametrize("kind", ["requests", "limits"])
def test_a_control_worker_has_memory_for_all_of_its_tasks(kind: str) -> None:
    control = set_of("control")
    memory = control["resources"][kind]["memory"]
    assert int(memory.removesuffix("Mi")) * 2**20 >= (IDLE_WORKER + control["concurrency"] * TASK) * 10**6


def test_the_control_queue_has_workers() -> None:
    assert variables(VALUES["env"])[environment_name("control_queue")] == set_of("control")["queue"]


def test_the_schedulers_hand_out_as_many_tasks_as_the_workers_can_start() -> None:
    control, celery = set_of("control"), VALUES["workers"]["celery"]
    slots = celery["replicas"] * VALUES["config"]["celery"]["worker_concurrency"]
    slots += control["replicas"] * control["concurrency"]
    assert VALUES["config"]["core"]["parallelism"] * VALUES["scheduler"]["replicas"] == slots
    assert VALUES["config"]["celery"]["worker_prefetch_multiplier"] == 1


def test_a_worker_that_must_go_may_end_its_tasks() -> None:
    seconds = Settings.model_fields["max_model_minutes"].default * 60
    assert VALUES["workers"]["celery"]["terminationGracePeriodSeconds"] > seconds


@pytest.mark.parametrize("block", BLOCKS, ids=[f"block {number}" for number in range(1, len(BLOCKS) + 1)])
def test_the_commands_are_bash(block: str) -> None:
    subprocess.run(["bash", "-n"], input=block, text=True, check=True)  # noqa: S607


@pytest.mark.parametrize(
    "path", sorted(set(re.findall(r"(?<![\w./:-])(?:docs|include|deploy|helm|demo|release)/[\w./-]+\w", COMMANDS)))
)
def test_a_file_in_a_command_is_there(path: str) -> None:
    assert (PROJECT / path).is_file()


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", PAGE))))
def test_every_link_leads_to_a_file(link: str) -> None:
    assert (PROJECT / "docs" / link).exists()


@pytest.mark.parametrize("target", sorted(set(re.findall(r"^make (\w+)", COMMANDS, re.MULTILINE))))
def test_a_make_target_in_a_command_is_there(target: str) -> None:
    assert re.search(rf"^{target}:", (PROJECT / "Makefile").read_text(), re.MULTILINE)


def test_the_image_is_a_target_of_the_dockerfile() -> None:
    (target,) = set(re.findall(r"--target (\w+)", COMMANDS))
    assert re.search(rf"^FROM .* AS {target}$", (PROJECT / "Dockerfile").read_text(), re.MULTILINE)
