"""The vocabulary, for what people read in code: comments, docstrings and texts of three words or more of Python files.

Of scripts, templates and other files it reads everything.
"""

import ast
import re
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

import yaml

_VOCABULARY = Path("lint/vocabulary.yml")
#: Of other languages: files whose names end like this.
_OTHERS = (
    ".css",
    ".html",
    ".ini",
    ".jinja",
    ".js",
    ".mjs",
    ".sh",
    ".toml",
    ".yaml",
    ".yml",
    "Dockerfile",
    "Makefile",
    "run",
)
_PATTERN = re.compile(r"/(.*)/i", re.DOTALL)


def rules() -> list[tuple[re.Pattern[str], str]]:
    """What not to write, and what instead, as `textlint` reads it for the pages."""
    rows = yaml.safe_load(_VOCABULARY.read_text("utf-8"))["rules"]
    found = []
    for row in rows:
        pattern = _PATTERN.fullmatch(row["pattern"])
        if pattern is None:
            raise SystemExit(f"{_VOCABULARY}: a pattern is /…/i, not {row['pattern']}")
        found.append((re.compile(pattern[1], re.IGNORECASE), row["expected"]))
    return found


def texts(path: Path) -> Iterator[tuple[int, str]]:
    """Line and text of each part of a file that people read."""
    if path.suffix != ".py":
        yield 1, path.read_text("utf-8")
        return
    with path.open("rb") as file:
        for token in tokenize.tokenize(file.readline):
            if token.type == tokenize.COMMENT:
                yield token.start[0], token.string
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and len(node.value.split()) > 2:
            yield node.lineno, node.value


def files(places: list[str]) -> Iterator[Path]:
    """The files in these folders, and those named, that have texts; not the vocabulary itself."""
    for place in map(Path, places):
        for path in sorted(place.rglob("*")) if place.is_dir() else [place]:
            is_text = path.is_file() and path.name.endswith((".py", *_OTHERS))
            if is_text and path != _VOCABULARY and "node_modules" not in path.parts:
                yield path


def main(places: list[str]) -> int:
    """Print each finding as `file:line: what was found → what to write`; the number of findings."""
    found, patterns = 0, rules()
    for path in files(places):
        for line, text in texts(path):
            for pattern, instead in patterns:
                for match in pattern.finditer(text):
                    at = line + text[: match.start()].count("\n")
                    print(f"{path}:{at}: {' '.join(match[0].split())} → {instead}")
                    found += 1
    return found


if __name__ == "__main__":
    sys.exit(1 if main(sys.argv[1:]) else 0)
