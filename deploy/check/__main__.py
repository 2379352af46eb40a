"""`python -m deploy.check [--picture FILE] [--yes] [--env .env]`."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from dotenv import dotenv_values

if TYPE_CHECKING:
    from deploy.check.steps import Step

# Set before the first import of Airflow, which needs a home folder.
os.environ.setdefault("AIRFLOW_HOME", tempfile.mkdtemp(prefix="label-detection-check-"))
os.environ.setdefault("AIRFLOW_CONN_AWS_DEFAULT", "aws://")
os.environ.setdefault("AIRFLOW__LOGGING__LOGGING_LEVEL", "CRITICAL")  # the check prints all that matters

from label_detection_core.config.settings import Settings, SettingsError, environment_name, load


def main() -> int:
    """Run the check; returns 0 if every step worked, else 1."""
    given = _arguments()
    for name, value in dotenv_values(given.env).items() if given.env.exists() else []:
        os.environ.setdefault(name, value or "")
    try:
        settings = load(lambda option: os.environ.get(environment_name(option)))
    except SettingsError as error:
        _say(f"Some options are missing or invalid. Set them in {given.env} or in the environment:\n{error}")
        return 1
    with ExitStack() as undo:
        return _run(settings, given.picture, undo, asks=not given.yes)


def _run(settings: Settings, picture: Path | None, undo: ExitStack, *, asks: bool) -> int:
    from deploy.check import steps

    found = steps.reading(settings)
    _say("These steps only read, and cost nothing.")
    if not _each(found, 1):
        return 1
    if not picture:
        _say("Everything is in place. With PICTURE=file the check also labels one picture, and then cleans up.")
        return 0
    price = settings.price_per_unit_hour * settings.min_inference_units
    _say(
        f"\nThe next steps label one picture: {picture}. They start the model, which costs about {price:.2f} USD per "
        f"hour. A start takes 5 to 30 minutes, so expect {price / 4:.2f} to {price:.2f} USD. At the end the model is "
        "stopped and the picture is deleted."
    )
    if asks and input("Continue? [y/N] ").strip().lower() not in {"y", "yes"}:
        return 1
    try:
        worked = _each(steps.labelling(settings, picture, undo, _say), len(found) + 1)
    finally:
        _say("Cleaning up.")
        undo.close()
    _say("Every step worked, and everything is cleaned up." if worked else "Everything is cleaned up.")
    return 0 if worked else 1


def _each(found: list[Step], first: int) -> bool:
    for number, step in enumerate(found, first):
        try:
            _say(f"{number}. {step.title}: {step.do()}")
        except Exception as error:  # noqa: BLE001  # any error is the result of the step
            _say(f"{number}. {step.title}: FAILED: {error}")
            return False
    return True


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="aws-check", description="Check whether an AWS account has what the pipeline needs."
    )
    parser.add_argument("--env", type=Path, default=Path(".env"), help="file with the options (default: .env)")
    parser.add_argument(
        "--picture", type=Path, help="also label this picture, which starts the model and stops it at the end"
    )
    parser.add_argument("--yes", action="store_true", help="start the model without a question")
    given = parser.parse_args()
    if given.picture and not given.picture.is_file():
        parser.error(f"--picture: there is no file {given.picture}")
    return given


if __name__ == "__main__":
    sys.exit(main())
