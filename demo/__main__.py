"""The demo's command line; `python -m demo --help` describes it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import NoReturn

from rich.console import Console
from rich.text import Text

from demo.kinds import Kind
from sandbox.environment import PROJECT, clean_own
from sandbox.processes import Interrupted, signals_raise

_DEFAULT = Kind.REKOGNITION
_KINDS = ", ".join([*Kind][:-1]) + f" or {[*Kind][-1]}"
#: Width of the output in columns if it goes to a file or another program.
_PLAIN_WIDTH = 150


def main(arguments: list[str] | None = None) -> int:
    """Run the command, and return the exit code."""
    parser = _parser()
    given = parser.parse_args(arguments)
    if given.model and given.command not in (None, "up"):
        parser.error("--model is for the demo and for up: a world that is up keeps its model type")
    if given.pipelines and given.command is not None:
        parser.error("--pipelines is for the demo: leave the command out")
    if given.pipelines == "2" and given.model:
        parser.error("--pipelines 2 always has a model of sagemaker and one of lookoutvision: leave --model out")
    if given.env and given.command not in ("put", "results"):
        parser.error("--env is for put and results: docker compose itself starts and ends that world")
    clean_own()
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _PLAIN_WIDTH
    try:
        with signals_raise():
            return _dispatch(given, console)
    except KeyboardInterrupt:
        console.print(Text("\ninterrupted; nothing is left running"))
        return 130
    except Interrupted as interrupted:
        return 128 + interrupted.signum


def _dispatch(given: argparse.Namespace, console: Console) -> int:
    """Run one command. Its module is imported here, because importing OpenCV and Airflow's client takes seconds."""
    if given.command is None:
        from demo.once import demo, demo_of_two

        return demo_of_two(console) if given.pipelines == "2" else demo(console, Kind(given.model or _DEFAULT))
    from demo import own_pictures, standing

    if given.command == "up":
        return standing.up(console, given.folder, Kind(given.model) if given.model else None)
    if given.command == "down":
        return standing.down(console, given.folder)
    if given.command == "examples":
        standing.put_examples(given.folder)
        return 0
    if given.command == "hold":
        return standing.hold(given.folder, Kind(given.kind))
    from demo import compose_world

    try:
        world = compose_world.read(given.env) if given.env else standing.read(given.folder.resolve())
    except compose_world.NoWorldError as error:
        console.print(Text(str(error), style="red"), soft_wrap=True)
        return 1
    if world is None:
        console.print("No world is running: start one with `make up`", style="red")
        return 1
    if given.command == "put":
        return own_pictures.put(console, world, given.files)
    return own_pictures.results(console, world)


class _OneLineParser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message.removeprefix('argument ')} (--help lists the options)\n")


def _parser() -> argparse.ArgumentParser:
    parser = _OneLineParser(
        prog="python -m demo",
        description="Without a command: start a world (an embedded AWS and Airflow), label some 30 pictures, check the "
        "results, and end the world.",
    )
    parser.add_argument(
        "--model",
        type=_kind,
        metavar="SERVICE",
        help=f"service of the model, for the demo and for `up`: {_KINDS} (default: {_DEFAULT})",
    )
    parser.add_argument(
        "--pipelines",
        choices=["1", "2"],
        metavar="1|2",
        help="2: two pipelines at the same time in one Airflow, with models of sagemaker and lookoutvision",
    )
    parser.add_argument(
        "--folder", type=Path, default=PROJECT / ".world", help="folder of the world that `up` starts (default: .world)"
    )
    parser.add_argument(
        "--env",
        type=Path,
        metavar="FILE",
        help="for put and results: use the world of docker-compose.yaml that this .env configures",
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands for a world that keeps running")
    commands.add_parser("up", help="start a world in the background; it looks for pictures every two minutes")
    commands.add_parser("down", help="end the world")
    put = commands.add_parser("put", help="upload pictures to the source bucket")
    put.add_argument("files", type=Path, nargs="+", metavar="FILE", help="a picture, or a folder of them")
    commands.add_parser("results", help="print the labelled and the rejected pictures")
    commands.add_parser("examples", help="add example pictures to the world if it has none; `up` does this as well")
    hold = commands.add_parser("hold")  # for `up` alone: without a help text it is not listed
    hold.add_argument("kind", choices=list(Kind))
    return parser


def _kind(word: str) -> str:
    if word not in list(Kind):
        raise argparse.ArgumentTypeError(f"must be {_KINDS}, not {word!r}")
    return word


if __name__ == "__main__":
    sys.exit(main())
