"""The images of the Dockerfile as a virtual environment: its `RUN` lines, on top of what Airflow's image contains."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sandbox.environment import PROJECT

_DOCKERFILE = PROJECT / "Dockerfile"
#: The providers of Airflow's image that the services of docker-compose.yaml use.
_PROVIDERS = ("amazon", "celery", "fab", "postgres", "redis")


@contextmanager
def built() -> Iterator[dict[str, str]]:
    """Build the environment; return variables that select it. Serves both targets: the second adds to the first."""
    # Readable by every user, as in an image; only root can read the tests' own files.
    with tempfile.TemporaryDirectory(prefix="label-detection-image-") as folder:
        Path(folder).chmod(0o755)
        programs = _build(Path(folder))
        yield {"PATH": f"{programs}:/usr/sbin:/usr/bin:/sbin:/bin", "LD_LIBRARY_PATH": f"{folder}/python/lib"}


def _build(folder: Path) -> Path:
    text = re.sub(r"\\\n\s*", "", _DOCKERFILE.read_text())
    version, python = re.search(r"^FROM apache/airflow:([\d.]+)-python([\d.]+) ", text, re.MULTILINE).groups()  # type: ignore[union-attr]
    uv = str(Path(sys.executable).parent / "uv")
    environment = folder / "image"
    find = [uv, "python", "find", "--no-python-downloads", os.environ.get("LABEL_DETECTION_PYTHON312", python)]
    found = subprocess.run(find, capture_output=True, text=True, check=False)
    if found.returncode:
        raise RuntimeError(
            f"no Python {python}: name one, make compose PYTHON312=/path/to/python ({found.stderr.strip()})"
        )
    python = _copied(found.stdout.strip(), folder / "python")
    _run([uv, "venv", "--quiet", "--seed", "--no-python-downloads", "--python", python, str(environment)])
    base = [f"apache-airflow=={version}", *(f"apache-airflow-providers-{name}" for name in _PROVIDERS)]
    into = ["--quiet", "--python", str(environment / "bin" / "python")]
    _run([uv, "pip", "install", *into, *base, "-c", f"{PROJECT}/deploy/constraints/{version}.txt"])
    for command in re.findall(r"^RUN (.*)", text, re.MULTILINE):
        here = command.replace("/opt/label-detection/", f"{PROJECT}/")
        path = f"{environment / 'bin'}:{os.environ['PATH']}"
        _run(["sh", "-ec", here], PATH=path, AIRFLOW_VERSION=version)
    return environment / "bin"


def _copied(python: str, folder: Path) -> str:
    """A Python of this machine that every user can read. Copied if it is not the system's."""
    where = "import sys; print(sys.base_prefix, '%d.%d' % sys.version_info[:2])"
    done = subprocess.run([python, "-c", where], capture_output=True, text=True, check=True)
    prefix, version = done.stdout.split()
    if Path(prefix) == Path("/usr"):  # the system's Python: every user can read it
        return python
    shutil.copytree(prefix, folder, symlinks=True, ignore=shutil.ignore_patterns("test", "site-packages"))
    return str(folder / "bin" / f"python{version}")


def _run(command: list[str], **variables: str) -> None:
    done = subprocess.run(command, env=os.environ | variables, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{command}:\n{done.stdout}{done.stderr}")
