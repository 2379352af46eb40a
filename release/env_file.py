"""`.env` for docker-compose.yaml: `python -m release.env_file [--folder .]` adds what is missing, and changes nothing.

Secrets, made by chance; and, where no queue is named yet, the options and variables of the embedded AWS that
`docker compose --profile local` starts. `release.configure` puts a stack's options in their place.
"""

from __future__ import annotations

import argparse
import os
import secrets
import sys
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from pathlib import Path

from demo.pictures import examples
from include.settings import environment_name

FILE = ".env"
#: What leads to the service local-aws of docker-compose.yaml. No secrets: any key will do there.
LOCAL = {
    "AWS_ENDPOINT_URL": "http://local-aws:5000",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_ACCESS_KEY_ID": "local",
    "AWS_SECRET_ACCESS_KEY": "local",
    "AIRFLOW_AWS_CONFIG_FILE": "/opt/airflow/include/local_aws/path-style.config",
    environment_name("queue_url"): "http://local-aws:5000/123456789012/label-detection",
    environment_name("source_bucket"): "label-detection-source",
    environment_name("final_bucket"): "label-detection-final",
    environment_name("model_arn"): (
        "arn:aws:rekognition:us-east-1:123456789012:project/label-detection/version/1/1701991007554"
    ),
    environment_name("schedule"): "*/5 * * * *",
    environment_name("wait_minutes"): "1",
}
#: The user `airflow` of Airflow's image.
_IMAGES_USER = 50000
_EXAMPLES = Path(".world") / "examples"


def new_secrets() -> dict[str, str]:
    """The secrets that docker-compose.yaml asks for."""
    return {
        # The only one with a shape: cryptography's Fernet wants 32 bytes in URL-safe base64.
        "FERNET_KEY": urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        **{
            name: secrets.token_urlsafe(32)
            for name in ("API_SECRET_KEY", "JWT_SECRET", "POSTGRES_PASSWORD", "REDIS_PASSWORD", "ADMIN_PASSWORD")
        },
    }


def read(file: Path) -> dict[str, str]:
    """The variables of a file, none when there is none."""
    lines = file.read_text().splitlines() if file.exists() else []
    pairs = (line.partition("=") for line in lines if not line.lstrip().startswith("#"))
    return {name.strip(): value for name, equals, value in pairs if equals}


def replace(file: Path, values: Mapping[str, str], unwanted: Mapping[str, str] | None = None) -> None:
    """Put the values at the end, in the place of others of their names, without the unwanted; for its owner alone."""
    unwanted = unwanted or {}
    lines = file.read_text().splitlines() if file.exists() else []
    kept = [line for line in lines if _name(line) not in values and unwanted.get(_name(line)) != _value(line)]
    part = file.with_name(f"{file.name}.part")
    part.touch(0o600)
    part.write_text("".join(f"{line}\n" for line in [*kept, *(f"{name}={value}" for name, value in values.items())]))
    part.replace(file)


def complete(folder: Path) -> list[str]:
    """Add what is missing; the names of what was added."""
    file = folder / FILE
    there = read(file)
    # Whoever owns the checkout and the AWS profile, so that containers can read them; never root.
    wanted = new_secrets() | {"AIRFLOW_UID": str(os.getuid() or _IMAGES_USER)}
    if environment_name("queue_url") not in there:
        wanted |= LOCAL
    missing = {name: value for name, value in wanted.items() if name not in there}
    replace(file, missing)
    # Folders that Docker would make, and make root's.
    (folder / ".aws").mkdir(exist_ok=True)
    if not (folder / _EXAMPLES).exists():
        examples(folder / _EXAMPLES)
    return list(missing)


def _name(line: str) -> str:
    return line.partition("=")[0].strip()


def _value(line: str) -> str:
    return line.partition("=")[2]


def main() -> None:
    """Say what was added."""
    parser = argparse.ArgumentParser(prog="env_file", description="Complete .env for docker-compose.yaml.")
    parser.add_argument("--folder", type=Path, default=Path())
    folder = parser.parse_args().folder
    added = complete(folder)
    shown = folder / FILE
    sys.stdout.write(f"{shown}: added {', '.join(added)}\n" if added else f"{shown}: nothing was missing\n")
    if "AWS_ENDPOINT_URL" in added:
        sys.stdout.write("It leads to the embedded AWS: docker compose --profile local up\n")
    sys.stdout.write(f"Airflow's user is admin, the password ADMIN_PASSWORD in {shown}.\n")


if __name__ == "__main__":
    main()
