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

# Before the first import of Airflow, which needs a home.
os.environ.setdefault("AIRFLOW_HOME", tempfile.mkdtemp(prefix="label-detection-check-"))
os.environ.setdefault("AIRFLOW_CONN_AWS_DEFAULT", "aws://")
os.environ.setdefault("AIRFLOW__LOGGING__LOGGING_LEVEL", "CRITICAL")  # the lines of the check say it all

from label_detection_core.config.settings import Settings, SettingsError, environment_name, load


def main() -> int:
    """0 when every step worked, 1 when one did not."""
    given = _arguments()
    for name, value in dotenv_values(given.env).items() if given.env.exists() else []:
        os.environ.setdefault(name, value or "")
    try:
        settings = load(lambda option: os.environ.get(environment_name(option)))
    except SettingsError as error:
        _say(f"The options are not complete or not right. Set them in {given.env}, or in the environment:\n{error}")
        return 1
    with ExitStack() as undo:
        return _run(settings, given.picture, undo, asks=not given.yes)


def _run(settings: Settings, picture: Path | None, undo: ExitStack, *, asks: bool) -> int:
    from deploy.check import steps

    found = steps.reading(settings)
    _say("Reading only. This costs nothing.")
    if not _each(found, 1):
        return 1
    if not picture:
        _say("All is there. With PICTURE=file the check also labels one picture, and undoes all that it did.")
        return 0
    price = settings.price_per_unit_hour * settings.min_inference_units
    _say(
        f"\nNow one picture: {picture}. The model is started, and costs about {price:.2f} USD an hour. A start takes "
        f"5 to 30 minutes, so count with {price / 4:.2f} to {price:.2f} USD. Everything is undone at the end."
    )
    if asks and input("Go on? [y/N] ").strip().lower() not in {"y", "yes"}:
        return 1
    try:
        worked = _each(steps.labelling(settings, picture, undo, _say), len(found) + 1)
    finally:
        _say("Undoing.")
        undo.close()
    _say("All of it worked, and is undone." if worked else "What was done is undone.")
    return 0 if worked else 1


def _each(found: list[Step], first: int) -> bool:
    for number, step in enumerate(found, first):
        try:
            _say(f"{number}. {step.title}: {step.do()}")
        except Exception as error:  # noqa: BLE001  # whatever it is, it is the answer
            _say(f"{number}. {step.title}: FAILED: {error}")
            return False
    return True


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="aws-check", description="Look whether an AWS account has what is needed.")
    parser.add_argument("--env", type=Path, default=Path(".env"), help="a file with the options (default: .env)")
    parser.add_argument("--picture", type=Path, help="also label this picture: starts the model, and stops it")
    parser.add_argument("--yes", action="store_true", help="do not ask before the model is started")
    given = parser.parse_args()
    if given.picture and not given.picture.is_file():
        parser.error(f"--picture: there is no file {given.picture}")
    return given


if __name__ == "__main__":
    sys.exit(main())
