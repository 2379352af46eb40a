"""The demo's command line: wrong arguments are refused in one line."""

import os
import subprocess
import sys

import pytest

from demo.__main__ import main
from sandbox.environment import PROJECT

_IMPORT_ALL = """
import importlib, pkgutil, demo, sandbox
for package in (demo, sandbox):
    for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
"""


def test_the_demo_needs_only_the_checkout_on_its_path() -> None:
    """Runs `python -m demo put` as a user types it, without the PYTHONPATH that `make` sets."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    subprocess.run([sys.executable, "-c", _IMPORT_ALL], cwd=PROJECT, env=environment, timeout=60, check=True)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--model", "azure"], "--model: must be rekognition, sagemaker or lookoutvision, not 'azure'"),
        (["--pipelines", "3"], "--pipelines: invalid choice: '3'"),
        (["--pipelines", "2", "--model", "sagemaker"], "leave --model out"),
        (["--pipelines", "2", "up"], "--pipelines is for the demo"),
        (["--model", "sagemaker", "results"], "--model is for the demo and for up"),
        (["--env", ".env"], "--env is for put and results"),
    ],
    ids=lambda given: " ".join(given) if isinstance(given, list) else "",
)
def test_a_wrong_argument_of_the_demo_is_one_line(
    words: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    told = capsys.readouterr().err
    assert says in told
    assert told.count("\n") == 1
