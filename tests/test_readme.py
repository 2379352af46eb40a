"""The README is short, and its commands run."""

from __future__ import annotations

import re

from sandbox.environment import PROJECT

README = (PROJECT / "README.md").read_text()
GATE = (PROJECT / ".ci" / "run").read_text()


def test_every_command_is_run_by_the_gate() -> None:
    commands = [line for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL) for line in block.splitlines()]
    assert len(commands) > 5
    assert [command for command in commands if command not in GATE.splitlines()] == []


def test_the_readme_is_short() -> None:
    assert len(README.split()) < 950
