"""Write a stack's outputs as the pipeline's options: `python -m deploy.release.configure <stack> [--folder .]`.

It writes two files. `.env` is for docker-compose.yaml; its other lines stay, except those for the embedded AWS.
`dist/mwaa-options.json` has Amazon MWAA's configuration options: the pipeline's, and some of Airflow's, which shorten
the time that a model stays on after the loss of a worker. Outputs that are not options are left out.
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

#: In these states a stack has the resources of its template, and its outputs are valid. During a clean-up, only
#: replaced resources are still being deleted.
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
#: Options of Airflow itself, with the values that docker-compose.yaml and deploy/helm/values.yaml also have.
AIRFLOW = {
    "scheduler.task_instance_heartbeat_timeout": "60",
    "scheduler.task_instance_heartbeat_timeout_detection_interval": "10",
    "scheduler.orphaned_tasks_check_interval": "60",
}


class ConfigureError(Exception):
    """The stack's outputs cannot be used; the message has the reason and the cure."""


def options_of(stack: str, client: Any | None = None) -> dict[str, str]:
    """The pipeline's options from a stack's outputs, by name.

    :raises ConfigureError: if the stack does not exist, is not ready, or has outputs that are not valid options.
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
        raise ConfigureError(
            f"the outputs of the stack {stack!r} are not valid options of the pipeline:\n{error}"
        ) from None
    return options


def write(options: dict[str, str], folder: Path) -> list[str]:
    """Write both files; returns the variables for the embedded AWS that were removed from `.env`."""
    mine = {environment_name(option): value for option, value in options.items()}
    gone = env_file.lead_to(mine, folder)
    mwaa = folder / "dist" / "mwaa-options.json"
    mwaa.parent.mkdir(exist_ok=True)
    names = {f"{SECTION}.{option}": value for option, value in options.items()} | AIRFLOW
    mwaa.write_text(json.dumps(names, indent=1) + "\n")
    return gone


def _what_to_do(status: str) -> str:
    """The cure for a stack in a state in which its outputs cannot be trusted."""
    if status.startswith("DELETE_") and status != "DELETE_FAILED":
        return "it is being deleted; create it again first (docs/remaking.md)"
    if status.endswith("_IN_PROGRESS"):
        return "wait until the operation has ended, and try again"
    if status in {"CREATE_FAILED", "ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "DELETE_FAILED"}:
        return "its creation failed, or it is half deleted; delete it and create it again (docs/remaking.md)"
    return "its last update failed and was not rolled back; see its events, and run continue-update-rollback"


def _option(output: str) -> str:
    """The option for an output: `queue_url` for `QueueUrl`."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", output).lower()


def main() -> None:
    """Write both files; ends with status 1 and a one-line error if the outputs cannot be used."""
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
        sys.stdout.write(f".env configured the embedded AWS; removed from it: {', '.join(gone)}\n")


if __name__ == "__main__":
    main()
