"""What Amazon MWAA gets: `python -m deploy.release.mwaa [folder]`, into `dist/mwaa/`, ready for `aws s3 sync`.

`dags/`             the DAG files, and what stands beside them for the option `pipelines`
`plugins.zip`       for MWAA's plugins folder: what is in `plugins/` and in `include/`, since MWAA ships nothing else
`requirements.txt`  names without versions, since MWAA's own constraints have them; where no constraint has one, as for
                    Pillow, with the version that is tested

The same files give the same bytes, whenever and wherever they are packed.
"""

from __future__ import annotations

import re
import shutil
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

_PROJECT = Path(__file__).resolve().parents[2]
#: Of `dags/`, what the pipeline needs.
_DAGS = {".py", ".yaml", ".yml", ".json"}
#: Zip files know no time before it.
_EPOCH = (1980, 1, 1, 0, 0, 0)
_IGNORE = ".airflowignore"


def pack(folder: Path, project: Path = _PROJECT) -> None:
    """Write all three into a folder, instead of what was there."""
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
    """Without the versions that a constraint pins, and without comments: MWAA takes a constraint in a comment as real.

    `constraints`: those of every Airflow that the package is made for.
    """
    pinned = {_name(line) for line in constraints.splitlines() if "==" in line}
    lines = (line.split("#")[0].strip() for line in text.splitlines())
    kept = (re.split(r"[=<>~!]", line)[0] if _name(line) in pinned else line for line in lines if line)
    return "".join(f"{line}\n" for line in kept)


def _name(requirement: str) -> str:
    """A requirement's name, as the registry has it."""
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
        # Airflow imports every file in the plugins folder that it is not told to leave alone.
        yield name, content + b"label_detection_core/**\n" if name == _IGNORE else content
    for file in _files(project / "include"):
        yield file.relative_to(project / "include").as_posix(), file.read_bytes()


def _files(folder: Path) -> Iterator[Path]:
    for file in folder.rglob("*"):
        if file.is_file() and "__pycache__" not in file.parts:
            yield file


def main() -> None:
    """Pack, and say what to do with it."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else _PROJECT / "dist" / "mwaa"
    pack(folder)
    size = (folder / "plugins.zip").stat().st_size
    sys.stdout.write(f"{folder}: dags/, plugins.zip ({size:,} bytes), requirements.txt\n")


if __name__ == "__main__":
    main()
