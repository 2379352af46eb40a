"""Write Amazon MWAA's pins for an Airflow version: `python -m deploy.release.constraints 3.4.0 [--source URL or file]`.

MWAA installs Airflow with Airflow's own constraints for Python 3.12. About a hundred of them concern packages that this
project installs. They are written to `deploy/constraints/<version>.txt`, from which `make lock` makes the requirements
and the lock. With `--move`, the version is also changed in each file that names it.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

_PROJECT = Path(__file__).resolve().parents[2]
_PUBLISHED = "https://raw.githubusercontent.com/apache/airflow/constraints-{version}/constraints-3.12.txt"
#: The files that name the Airflow version of this project.
NAMED_IN = (
    "Makefile",
    "Dockerfile",
    "docker-compose.yaml",
    "deploy/helm/values.yaml",
    "deploy/cloudformation/mwaa.yaml",
    "docs/where-it-runs.md",
    "docs/install.md",
    "docs/mwaa.md",
)
_SECONDS = 30


class ConstraintsError(Exception):
    """The constraints cannot be read, or nothing can be installed with them; the message has the reason."""


def published(version: str, source: str | None = None) -> str:
    """The text of Airflow's constraints, from Airflow's site or from another URL or file.

    :raises ConstraintsError: if it cannot be read, or is not a constraints file.
    """
    source = source or _PUBLISHED.format(version=version)
    try:
        if "://" in source:
            with urllib.request.urlopen(source, timeout=_SECONDS) as answer:  # noqa: S310 - the user names it
                text: str = answer.read().decode()
        else:
            text = Path(source).read_text()
    except (OSError, urllib.error.URLError, UnicodeDecodeError) as error:
        raise ConstraintsError(f"the constraints of Airflow {version} cannot be read from {source}: {error}") from error
    if not re.search(r"^apache-airflow-providers-amazon==", text, re.MULTILINE):
        raise ConstraintsError(
            f"{source} is not a constraints file: it has no line for apache-airflow-providers-amazon"
        )
    return text


def ours(version: str, text: str, project: Path = _PROJECT) -> str:
    """The pins of the packages that this project installs, sorted, below a comment that explains them.

    :raises ConstraintsError: if the project's packages cannot be installed with the constraints.
    """
    pins = {_name(line): line.strip() for line in text.splitlines() if re.match(r"[A-Za-z0-9]", line)}
    pins["apache-airflow"] = f"apache-airflow=={version}"
    uv = [str(Path(sys.executable).parent / "uv"), "pip", "compile", "--quiet", "--universal", "--python-version=3.11"]
    done = subprocess.run(  # noqa: S603 - the environment's own uv
        [*uv, "--no-header", "--no-annotate", "--group=airflow", "--constraints=-", "pyproject.toml"],
        input="\n".join(pins.values()),
        cwd=project,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise ConstraintsError(
            f"the project cannot be installed with the constraints of Airflow {version}:\n{done.stderr.strip()}"
        )
    installed = {_name(line) for line in done.stdout.splitlines()}
    head = (
        f"# Pins for Airflow {version} on Amazon MWAA: "
        "Airflow's constraints (Python 3.12) for packages that we install.\n"
        "# Written by make constraints.\n"
    )
    return head + "".join(f"{line}\n" for name, line in sorted(pins.items()) if name in installed)


def move(old: str, new: str, project: Path = _PROJECT) -> list[str]:
    """Replace the old version by the new one in all files that name it; returns the changed files."""
    changed = []
    for file in (project / name for name in NAMED_IN):
        before = file.read_text()
        after = re.sub(rf"(?<![0-9.]){re.escape(old)}(?![0-9])", new, before)
        if after != before:
            file.write_text(after)
            changed.append(str(file.relative_to(project)))
    return changed


def _name(line: str) -> str:
    """A requirement's normalised name."""
    return re.sub(r"[-_.]+", "-", re.split(r"[=<>~!\[; ]", line, maxsplit=1)[0]).lower()


def main() -> None:
    """Write the pins; ends with status 1 and a one-line error if that is not possible."""
    parser = argparse.ArgumentParser(prog="constraints", description="Write Amazon MWAA's pins for an Airflow version.")
    parser.add_argument("version", help="version of Airflow, for instance 3.3.1")
    parser.add_argument("--source", help="URL or file to read instead of the constraints that Airflow publishes")
    parser.add_argument("--move", metavar="OLD", help="also replace this version in each file that names it")
    given = parser.parse_args()
    if not re.fullmatch(r"[0-9]+\.[0-9]+\.[0-9]+", given.version):
        sys.exit(f"constraints: {given.version!r} is not a version of Airflow: it must look like 3.3.1")
    try:
        text = ours(given.version, published(given.version, given.source))
    except ConstraintsError as error:
        sys.exit(f"constraints: {error}")
    file = _PROJECT / "deploy" / "constraints" / f"{given.version}.txt"
    file.write_text(text)
    sys.stdout.write(f"{file.relative_to(_PROJECT)}: {text.count('==')} pins\n")
    if given.move:
        sys.stdout.write(f"{given.version} in {', '.join(move(given.move, given.version))}\n")


if __name__ == "__main__":
    main()
