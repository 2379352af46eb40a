"""Complete `.env` for docker-compose.yaml: `python -m deploy.release.env_file [--folder .]` adds missing variables.

It adds random secrets. If the file names neither a queue nor pipelines, it also adds the options and variables of the
embedded AWS that `docker compose --profile local` starts. `deploy.release.configure` replaces them by a stack's
options.
"""

from __future__ import annotations

import argparse
import os
import secrets
import sys
from base64 import urlsafe_b64encode
from collections.abc import Collection, Mapping
from io import StringIO
from pathlib import Path

from dotenv.parser import Binding, parse_stream

FILE = ".env"
#: The prefix of the variables of options. The core has it too, but `python -m demo` has no core on its path.
_OPTION = "AIRFLOW__LABEL_DETECTION__"
ENDPOINT = "AWS_ENDPOINT_URL"
#: The variables for the service local-aws of docker-compose.yaml. The keys are not secret: any key works there.
LOCAL = {
    ENDPOINT: "http://local-aws:5000",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_ACCESS_KEY_ID": "local",
    "AWS_SECRET_ACCESS_KEY": "local",
    "AIRFLOW_AWS_CONFIG_FILE": "/opt/airflow/compose/path-style.config",
    f"{_OPTION}QUEUE_URL": "http://local-aws:5000/123456789012/label-detection",
    f"{_OPTION}SOURCE_BUCKET": "label-detection-source",
    f"{_OPTION}FINAL_BUCKET": "label-detection-final",
    f"{_OPTION}MODEL_ARN": (
        "arn:aws:rekognition:us-east-1:123456789012:project/label-detection/version/1/1701991007554"
    ),
    f"{_OPTION}SCHEDULE": "*/5 * * * *",
    f"{_OPTION}WAIT_MINUTES": "1",
}
#: A path that version 0.1 wrote and that containers no longer have.
_NOT_THERE_ANY_MORE = {"AIRFLOW_AWS_CONFIG_FILE": "/opt/airflow/include/local_aws/path-style.config"}
#: The user `airflow` of Airflow's image.
_IMAGES_USER = 50000


def new_secrets() -> dict[str, str]:
    """New random values for the secrets that docker-compose.yaml needs, by name."""
    names = ("API_SECRET_KEY", "JWT_SECRET", "POSTGRES_PASSWORD", "REDIS_PASSWORD", "ADMIN_PASSWORD")
    return {
        # The only secret with a format: cryptography's Fernet needs 32 bytes in URL-safe base64.
        "FERNET_KEY": urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        **{name: secrets.token_hex(32) for name in names},
    }


def read(file: Path) -> dict[str, str]:
    """The variables of a file, without expansion; empty if the file does not exist."""
    return {line.key: line.value or "" for line in _lines(file) if line.key}


def is_local(variables: Mapping[str, str]) -> bool:
    """Whether the variables are for the embedded AWS."""
    return variables.get(ENDPOINT) == LOCAL[ENDPOINT]


def replace(file: Path, values: Mapping[str, str], unwanted: Collection[str] = ()) -> None:
    """Append the values to the file, and remove older lines of these names and of the unwanted names.

    Afterwards only the owner can read the file. A symbolic link stays a link. Without changes the file is not written.
    """
    lines = _lines(file)
    kept = [line.original.string for line in lines if line.key not in {*values, *unwanted}]
    if not values and len(kept) == len(lines):
        return
    if kept and not kept[-1].endswith("\n"):
        kept.append("\n")
    text = "".join([*kept, *(f"{name}={value}\n" for name, value in values.items())])
    with os.fdopen(os.open(file, os.O_CREAT | os.O_WRONLY, 0o600), "w") as stream:
        os.fchmod(stream.fileno(), 0o600)
        stream.write(text)
        stream.truncate()


def complete(folder: Path) -> list[str]:
    """Add missing variables and empty secrets to the folder's `.env`; returns the names of the added variables."""
    file = folder / FILE
    there = read(file)
    # The user who owns the checkout and the AWS profile, so that containers can read both; never root.
    wanted = new_secrets() | {"AIRFLOW_UID": str(os.getuid() or _IMAGES_USER)}
    missing = {name: value for name, value in wanted.items() if not there.get(name)}
    missing |= {name: LOCAL[name] for name, value in _NOT_THERE_ANY_MORE.items() if there.get(name) == value}
    if not {f"{_OPTION}QUEUE_URL", f"{_OPTION}PIPELINES"} & there.keys():
        missing |= {name: value for name, value in LOCAL.items() if name not in there}
    replace(file, missing)
    (folder / ".aws").mkdir(exist_ok=True)  # else Docker would create it, with root as its owner
    return list(missing)


def lead_to(options: Mapping[str, str], folder: Path) -> list[str]:
    """Write a stack's options, given as variables, to the folder's `.env`.

    Returns the names of the removed variables, which were for the embedded AWS.
    """
    file = folder / FILE
    there = read(file)
    gone = []
    if is_local(there):  # the user's own credentials stay
        gone = [name for name, value in LOCAL.items() if "KEY" not in name or there.get(name) == value]
    replace(file, options, unwanted=gone)
    return [name for name in gone if name in there and name not in options]


def _lines(file: Path) -> list[Binding]:
    """The lines of the file: variables, and comments and other text, which have no key."""
    return list(parse_stream(StringIO(file.read_text()))) if file.exists() else []


def main() -> None:
    """Complete `.env`, and print the names of the added variables."""
    parser = argparse.ArgumentParser(prog="env_file", description="Complete .env for docker-compose.yaml.")
    parser.add_argument("--folder", type=Path, default=Path())
    folder = parser.parse_args().folder
    shown = folder / FILE
    try:
        added = complete(folder)
    except OSError as error:
        sys.exit(f"make env: {shown} cannot be written: {error}")
    sys.stdout.write(f"{shown}: added {', '.join(added)}\n" if added else f"{shown}: nothing was missing\n")
    if is_local(read(shown)):
        sys.stdout.write("It is for the embedded AWS; start with: docker compose --profile local up\n")
    sys.stdout.write(f"Airflow's user is admin, and its password is ADMIN_PASSWORD in {shown}.\n")


if __name__ == "__main__":
    main()
