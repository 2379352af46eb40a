"""Pack the files for Amazon MWAA: `python -m deploy.release.mwaa [folder]` writes `dist/mwaa/` for `aws s3 sync`.

`dags/`             the DAG files, and the files beside them for the option `pipelines`
`plugins.zip`       for MWAA's plugins folder: the content of `plugins/` and `include/`, since MWAA copies nothing else
`requirements.txt`  package names without versions, which MWAA's constraints have; a package without a constraint, such
                    as Pillow, has its tested version

Equal files give equal bytes, whenever and wherever they are packed.
"""

from __future__ import annotations

import re
import shutil
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

_PROJECT = Path(__file__).resolve().parents[2]
#: Suffixes of the files in `dags/` that the pipeline needs.
_DAGS = {".py", ".yaml", ".yml", ".json"}
#: The earliest time that a zip file can store.
_EPOCH = (1980, 1, 1, 0, 0, 0)
_IGNORE = ".airflowignore"


def pack(folder: Path, project: Path = _PROJECT) -> None:
    """Write `dags/`, `plugins.zip` and `requirements.txt` to a folder; its earlier content is deleted."""
    if folder.exists():
        shutil.rmtree(folder)
    (folder / "dags").mkdir(parents=True)
    for file in sorted((project / "dags").iterdir()):
        if file.suffix in _DAGS:
            (folder / "dags" / file.name).write_bytes(file.read_bytes())
    _zip(folder / "plugins.zip", project)
    constraints = "".join(file.read_text() for file in sorted((project / "deploy" / "constraints").glob("*.txt")))
    (folder / "requirements.txt").write_text(requirements((project / "requirements.txt").read_text(), constraints))


def requirements(text: str, constraints: str) -> str:
    """Requirements without comments, and without the versions that a constraint pins.

    Comments are removed because MWAA obeys a constraint even in a comment. `constraints`: those of each supported
    Airflow version.
    """
    pinned = {_name(line) for line in constraints.splitlines() if "==" in line}
    lines = (line.split("#")[0].strip() for line in text.splitlines())
    kept = (re.split(r"[=<>~!]", line)[0] if _name(line) in pinned else line for line in lines if line)
    return "".join(f"{line}\n" for line in kept)


def _name(requirement: str) -> str:
    """A requirement's normalised name."""
    return re.sub(r"[-_.]+", "-", re.split(r"[=<>~!\[; ]", requirement, maxsplit=1)[0]).lower()


def _zip(target: Path, project: Path) -> None:
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in sorted(_plugins(project)):
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, content)


def _plugins(project: Path) -> Iterator[tuple[str, bytes]]:
    for file in _files(project / "plugins"):
        name = file.relative_to(project / "plugins").as_posix()
        content = file.read_bytes()
        # Airflow imports every file in the plugins folder that .airflowignore does not exclude.
        yield name, content + b"label_detection_core/**\n" if name == _IGNORE else content
    for file in _files(project / "include"):
        yield file.relative_to(project / "include").as_posix(), file.read_bytes()


def _files(folder: Path) -> Iterator[Path]:
    for file in folder.rglob("*"):
        if file.is_file() and "__pycache__" not in file.parts:
            yield file


def main() -> None:
    """Pack the files, and print what was written."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else _PROJECT / "dist" / "mwaa"
    pack(folder)
    size = (folder / "plugins.zip").stat().st_size
    sys.stdout.write(f"{folder}: dags/, plugins.zip ({size:,} bytes), requirements.txt\n")


if __name__ == "__main__":
    main()
