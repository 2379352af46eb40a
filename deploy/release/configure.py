"""A stack's outputs as the pipeline's options: `python -m deploy.release.configure <stack> [--folder .]`.

It writes `.env`, for docker-compose.yaml, in which other lines stay, but those that lead to the embedded AWS, and
`dist/mwaa-options.json`, Amazon MWAA's configuration options: these, and Airflow's own that shorten how long a model
stays on when a worker is lost. Outputs that are no options are left out.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from deploy.release import env_file
from label_detection_core.config.settings import SECTION, Settings, SettingsError, environment_name, load

#: A stack in one of these has what its template says, and its outputs are right. In the states that clean up, only
#: resources that were replaced are still being deleted.
HEALTHY = frozenset(
    {
        "CREATE_COMPLETE",
        "UPDATE_COMPLETE",
        "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS",
        "UPDATE_ROLLBACK_COMPLETE",
        "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS",
        "IMPORT_COMPLETE",
        "IMPORT_ROLLBACK_COMPLETE",
    }
)
#: Airflow's own options that docker-compose.yaml and deploy/helm/values.yaml have too.
AIRFLOW = {
    "scheduler.task_instance_heartbeat_timeout": "60",
    "scheduler.task_instance_heartbeat_timeout_detection_interval": "10",
    "scheduler.orphaned_tasks_check_interval": "60",
}


class ConfigureError(Exception):
    """The stack has no options to give; the message says why."""


def options_of(stack: str, client: Any | None = None) -> dict[str, str]:
    """The options that a stack's outputs are, by name.

    :raises ConfigureError: when there is no such stack, it is not ready, or its outputs are no options.
    """
    try:
        client = client or boto3.client("cloudformation")
        (found,) = client.describe_stacks(StackName=stack)["Stacks"]
    except (ClientError, BotoCoreError) as error:
        raise ConfigureError(f"the stack {stack!r} cannot be read: {error}") from error
    if found["StackStatus"] not in HEALTHY:
        raise ConfigureError(f"the stack {stack!r} is in {found['StackStatus']}: {_what_to_do(found['StackStatus'])}")
    outputs = {_option(output["OutputKey"]): output["OutputValue"] for output in found.get("Outputs", [])}
    options = {name: value for name, value in outputs.items() if name in Settings.model_fields}
    try:
        load(options.get)
    except SettingsError as error:
        raise ConfigureError(f"the outputs of the stack {stack!r} are not the pipeline's options:\n{error}") from None
    return options


def write(options: dict[str, str], folder: Path) -> list[str]:
    """Write both files; the variables that led to the embedded AWS, and are gone from `.env`."""
    mine = {environment_name(option): value for option, value in options.items()}
    gone = env_file.lead_to(mine, folder)
    mwaa = folder / "dist" / "mwaa-options.json"
    mwaa.parent.mkdir(exist_ok=True)
    names = {f"{SECTION}.{option}": value for option, value in options.items()} | AIRFLOW
    mwaa.write_text(json.dumps(names, indent=1) + "\n")
    return gone


def _what_to_do(status: str) -> str:
    """What ends a state in which a stack's outputs cannot be relied on."""
    if status.startswith("DELETE_") and status != "DELETE_FAILED":
        return "it is being deleted; make it again first (docs/remaking.md)"
    if status.endswith("_IN_PROGRESS"):
        return "wait until that is over, and try again"
    if status in {"CREATE_FAILED", "ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "DELETE_FAILED"}:
        return "it was never made, or is half deleted; delete it and make it again (docs/remaking.md)"
    return "its last update failed and was not taken back; see its events, and run continue-update-rollback"


def _option(output: str) -> str:
    """`QueueUrl`: `queue_url`."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", output).lower()


def main() -> None:
    """0 when both are written, 1 with a line when not."""
    parser = argparse.ArgumentParser(prog="configure", description="Write a stack's outputs as the pipeline's options.")
    parser.add_argument("stack")
    parser.add_argument("--folder", type=Path, default=Path())
    given = parser.parse_args()
    try:
        options = options_of(given.stack)
    except ConfigureError as error:
        sys.exit(f"configure: {error}")
    gone = write(options, given.folder)
    sys.stdout.write(f"{', '.join(options)}: written to .env and dist/mwaa-options.json\n")
    if gone:
        sys.stdout.write(f".env led to the embedded AWS; gone from it: {', '.join(gone)}\n")


if __name__ == "__main__":
    main()
