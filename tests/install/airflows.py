"""A virtual environment with Airflow and the project's wheel, without access to the repository's folders."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox.environment import PROJECT

#: Each Airflow version that the project supports.
VERSIONS = sorted(file.stem for file in (PROJECT / "deploy" / "constraints").glob("*.txt"))
#: The DAG file from the installation page: a comment, an import, a call.
THREE_LINES = (PROJECT / "docs" / "install.md").read_text().split("```python\n")[1].split("```")[0]

_PARSE = """
import json, sys
import label_detection, label_detection_core
from airflow.dag_processing.dagbag import BundleDagBag
folder, bundle = sys.argv[1:]
bag = BundleDagBag(dag_folder=folder, bundle_path=bundle, bundle_name="theirs", safe_mode=True)
files = [package.__file__ or list(package.__path__)[0] for package in (label_detection, label_detection_core)]
print(json.dumps({"dags": sorted(bag.dags), "errors": bag.import_errors, "files": files}))
"""


@dataclass(frozen=True)
class Parsed:
    """DAG ids, import errors by file, and the folders that our packages were imported from."""

    dags: list[str]
    errors: dict[str, str]
    files: list[str]


@dataclass(frozen=True)
class Airflow:
    """Airflow in a virtual environment; `home`: an empty folder that it works in."""

    version: str
    home: Path

    @property
    def environment(self) -> Path:
        """The virtual environment's folder, made by `make test-wheel`."""
        return Path(os.environ["LABEL_DETECTION_AIRFLOWS"]) / self.version

    def command(self, name: str, path: Sequence[Path] = ()) -> list[str]:
        """A command of the environment. It runs in the empty folder; `path` is the whole PYTHONPATH."""
        pythonpath = os.pathsep.join(map(str, path))
        return ["env", f"--chdir={self.home}", f"PYTHONPATH={pythonpath}", str(self.environment / "bin" / name)]

    def run(self, name: str, *arguments: str, path: Sequence[Path] = (), **more: str) -> str:
        """Run a command with only these environment variables of ours; return its output.

        :raises AssertionError: the command failed; the message contains its errors.
        """
        own = {"PATH": os.environ["PATH"], "AIRFLOW_HOME": str(self.home), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
        done = subprocess.run(
            [*self.command(name, path), *arguments],
            env=own | more,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return done.stdout

    def listed(self, *command: str, path: Sequence[Path] = (), **more: str) -> list[Mapping[str, Any]]:
        """The rows that an Airflow list command returns."""
        said = self.run("airflow", *command, "--output", "json", path=path, **more)
        found: list[Mapping[str, Any]] = json.loads(said[said.index("[{") :])
        return found

    def parse(self, folder: Path, bundle: Path | None = None, path: Sequence[Path] = (), **more: str) -> Parsed:
        """Parse the DAG files of a folder as the dag-processor does; `bundle`: the bundle's root folder."""
        said = self.run("python", "-c", _PARSE, str(folder), str(bundle or folder), path=path, **more)
        return Parsed(**json.loads(said.splitlines()[-1]))
