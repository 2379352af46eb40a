"""The parts of the documentation that the code writes: `python -m deploy.release.reference` writes them again.

A part stands between two comments, the first of which names the function that returns it:
`<!-- options: written by package.module.function -->` and `<!-- end of options -->`.
"""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from label_detection_core.drain.journal_line import JournalLine
from label_detection_core.labelling.documents import LabelDocument, RejectedImage, RejectedMessage
from label_detection_core.model.ledger import Entry
from label_detection_core.run.stored_report import StoredReport
from label_detection_core.stored import Schema

PROJECT = Path(__file__).resolve().parents[2]
DOCS = PROJECT / "docs"
_PART = re.compile(r"(<!-- (\w+): written by ([\w.]+) -->\n)(.*?)\n?(<!-- end of \2 -->)", re.DOTALL)
_TARGET = re.compile(r"^([a-z-]+):.*?## (.*)$", re.MULTILINE)
#: Width of the terminal, in characters, for which a command prints its help.
_WIDTH = 110


def parts(page: Path) -> Iterator[tuple[str, str, str]]:
    """Of each written part of a page: its name, its text, and the text that the code returns now."""
    for _, name, function, text, _ in _PART.findall(page.read_text()):
        yield name, text, _written(function)


def write(page: Path) -> None:
    """Write a page's parts again."""
    page.write_text(_PART.sub(lambda part: f"{part[1]}{_written(part[3])}\n{part[5]}", page.read_text()))


def _written(function: str) -> str:
    module, _, name = function.rpartition(".")
    text: str = getattr(importlib.import_module(module), name)()
    return text


def make_targets() -> str:
    """A table of what `make` can do, from the Makefile."""
    rows = [f"| `make {name}` | {text[:1].upper()}{text[1:]} |" for name, text in _TARGET.findall(_makefile())]
    return "\n".join(["| command | what it does |", "|---|---|", *rows])


def _makefile() -> str:
    return (PROJECT / "Makefile").read_text()


def demo_help() -> str:
    """What `python -m demo --help` prints."""
    return _help("demo")


def local_aws_help() -> str:
    """What `python -m local_aws --help` prints."""
    return _help("local_aws")


def _help(module: str) -> str:
    command = [sys.executable, "-m", module, "--help"]
    done = subprocess.run(  # noqa: S603  # our own commands
        command, cwd=PROJECT, env={"COLUMNS": str(_WIDTH)}, check=True, capture_output=True, text=True
    )
    return f"```text\n{done.stdout.rstrip()}\n```"


def label_document() -> str:
    """The fields of a labelled picture's document."""
    return _fields(LabelDocument)


def rejected_image() -> str:
    """The fields of a rejected picture's document."""
    return _fields(RejectedImage)


def rejected_message() -> str:
    """The fields of the document of a message without a picture."""
    return _fields(RejectedMessage)


def journal_line() -> str:
    """The fields of a line of a run's journal."""
    return _fields(JournalLine)


def stored_report() -> str:
    """The fields of a run's report."""
    return _fields(StoredReport)


def ledger_entry() -> str:
    """The fields of an entry of a model's ledger of costs."""
    return _fields(Entry)


def _fields(model: type[BaseModel]) -> str:
    schema = model.model_json_schema(mode="serialization", schema_generator=Schema)
    rows = [f"| `{name}` | {kind} | {text} |" for name, kind, text in _rows(schema, schema.get("$defs", {}), "")]
    return "\n".join(["| field | type | |", "|---|---|---|", *rows])


def _rows(schema: dict[str, Any], named: dict[str, Any], path: str) -> Iterator[tuple[str, str, str]]:
    """Path, type and meaning of each field, the fields of an object behind it."""
    for name, field in schema.get("properties", {}).items():
        kind, inner, suffix = _kind(field, named)
        text = str(field.get("description", inner.get("description", "")))
        yield f"{path}{name}", kind, " ".join(text.split("\n\n")[0].split()).replace("|", "\\|")
        yield from _rows(inner, named, f"{path}{name}{suffix}.")


def _kind(field: dict[str, Any], named: dict[str, Any]) -> tuple[str, dict[str, Any], str]:
    """The type in a reader's terms, the schema of the object that it holds, and what follows its name in a path."""
    if "$ref" in field:
        return "object", named[field["$ref"].rpartition("/")[2]], ""
    if "anyOf" in field:
        kinds = [_kind(one, named) for one in field["anyOf"]]
        _, held, suffix = next((one for one in kinds if one[1]), kinds[0])
        return " or ".join(kind for kind, _, _ in kinds), held, suffix
    if "const" in field:
        return f'`"{field["const"]}"`', {}, ""
    if field.get("type") == "array":
        kind, inner, _ = _kind(field["items"], named)
        return f"list of {kind}s" if kind else "list", inner, "[]"
    return str(field.get("type", "any")), {}, ""


if __name__ == "__main__":
    for one in sorted(DOCS.glob("*.md")):
        write(one)
