"""A stack's outputs as the pipeline's options: `python -m release.configure <stack> [--folder .]`.

It writes `.env`, for docker-compose.yaml, in which other lines stay, but those that lead to the embedded AWS, and
`dist/mwaa-options.json`, Amazon MWAA's configuration options.
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

from include.settings import SECTION, SettingsError, environment_name, load
from release import env_file


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
    if not re.fullmatch(r"(CREATE|UPDATE)_COMPLETE", found["StackStatus"]):
        raise ConfigureError(f"the stack {stack!r} is {found['StackStatus']}, not complete")
    options = {_option(output["OutputKey"]): output["OutputValue"] for output in found.get("Outputs", [])}
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
    names = {f"{SECTION}.{option}": value for option, value in options.items()}
    mwaa.write_text(json.dumps(names, indent=1) + "\n")
    return gone


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
