"""The command line: each option with its default and its meaning."""

import argparse
import math
import re
import secrets
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import botocore.session

from local_aws.oddities import PRESETS, InvalidOddityError, Oddities, changed
from local_aws.settings import Answers, ModelSettings, ModelType, WorldSettings


@dataclass(frozen=True)
class Options:
    """The parsed command line: address, resources to create, oddities, file for the environment variables."""

    host: str
    port: int
    env_file: Path | None
    log_requests: bool
    world: WorldSettings
    oddities: Oddities


def parse_options(arguments: Sequence[str] | None = None) -> Options:
    """Read the command line; an invalid one ends the process with status 2 and a one-line error."""
    parser = _parser()
    given = parser.parse_args(arguments)
    if given.final_bucket == given.source_bucket:
        parser.error("--final-bucket: must not be the source bucket: each copy would send another event to the queue")
    if given.model_version in {ModelType.LOOKOUT_VISION, *(f"label-detection-{answers}" for answers in Answers)}:
        parser.error(f"--model-version: {given.model_version} is the name of another model on the control pages")
    model = ModelSettings(given.start_seconds, given.stop_seconds, given.rate, given.latency)
    world = WorldSettings(
        given.region,
        given.source_bucket,
        given.final_bucket,
        given.queue,
        given.max_receive_count,
        given.project,
        given.model_version,
        given.more_models,
        given.examples,
        model,
        ModelType(given.model),
        Answers(given.answers),
        given.models_only,
        given.pictures_endpoint,
    )
    return Options(given.host, given.port, given.env_file, given.log_requests, world, _oddities(given))


def _oddities(given: argparse.Namespace) -> Oddities:
    """The preset, with a random seed, overridden by the options on the command line."""
    knobs = {name: getattr(given, name) for name in Oddities.model_fields if hasattr(given, name)}
    return changed(PRESETS[given.oddities], {"seed": secrets.randbelow(1_000_000)} | knobs)


class _OneLineParser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message.removeprefix('argument ')} (--help lists the options)\n")


def _parser() -> argparse.ArgumentParser:
    parser = _OneLineParser(
        prog="local_aws",
        description="An AWS in one process: S3, SQS and the other services of moto, with models of Rekognition Custom "
        "Labels, SageMaker and Lookout for Vision that start, find what the example pictures show, and stop.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="address to listen on; 0.0.0.0 for every interface")
    add("--port", type=_whole(0, 65535), default=5000, help="port to listen on; 0 picks a free one")
    add("--region", type=_region, default="us-east-1", help="AWS Region of all resources")
    add(
        "--examples",
        type=Path,
        default=Path("examples"),
        help="folder of example pictures, with one subfolder per label",
    )
    add(
        "--model",
        choices=[kind.value for kind in ModelType],
        default=ModelType.REKOGNITION.value,
        metavar="SERVICE",
        help="service of the model that the environment variables name and /_local/model shows: rekognition, sagemaker "
        "or lookoutvision; the models of the other services exist too",
    )
    add(
        "--answers",
        choices=[answers.value for answers in Answers],
        default=Answers.OBJECT_DETECTION.value,
        metavar="FORMAT",
        help="format of the answers of a SageMaker model: object-detection, image-classification or huggingface",
    )
    add("--start-seconds", type=_number(0), default=8.0, help="seconds for which a model is STARTING")
    add("--stop-seconds", type=_number(0), default=3.0, help="seconds for which a model is STOPPING")
    add("--rate", type=_number(0), default=5.0, help="images per second and inference unit or instance; 0 for no limit")
    add("--latency", type=_number(0), default=0.2, help="minimum seconds of a detection")
    add("--source-bucket", type=_bucket, default="label-detection-source", help="bucket that pictures are uploaded to")
    add("--final-bucket", type=_bucket, default="label-detection-final", help="bucket for labelled pictures")
    add(
        "--queue",
        type=_name(r"[A-Za-z0-9_-]{1,67}"),
        default="label-detection",
        help="queue that receives an event for each uploaded picture",
    )
    add(
        "--max-receive-count",
        type=_whole(1, 1000),
        default=10,
        help="receives after which a message moves to the dead-letter queue, <queue>-dead-letters",
    )
    add("--project", type=_name(r"[A-Za-z0-9_.-]{1,255}"), default="label-detection", help="Custom Labels project")
    add(
        "--model-version",
        type=_name(r"[A-Za-z0-9_.-]{1,255}"),
        default="1",
        help="name of the project's first model version",
    )
    add(
        "--more-models",
        type=_whole(0, 100),
        default=0,
        help="number of further model versions of the project, named 2, 3 ...",
    )
    add(
        "--models-only",
        action="store_true",
        help="create only the models, without a stack (buckets and queue); for use beside another AWS",
    )
    add(
        "--pictures-endpoint",
        type=_url,
        default=None,
        metavar="URL",
        help="the S3 endpoint that Rekognition reads its pictures from over HTTP; default: the S3 of this process",
    )
    _add_oddities(parser)
    add(
        "--env-file",
        type=Path,
        default=None,
        help="file to write the environment variables to, once the server is ready",
    )
    add("--log-requests", action="store_true", help="log one line per request")
    return parser


def _add_oddities(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--oddities",
        choices=list(PRESETS),
        default="all",
        metavar="PRESET",
        help="surprising behaviour of AWS that is on: all; quick: only what adds no delay; none. "
        "The options below set each oddity",
    )
    for name, field in Oddities.model_fields.items():
        values = [f"{preset}: {_shown(getattr(oddities, name))}" for preset, oddities in PRESETS.items()]
        is_random = name == "seed"
        parser.add_argument(
            f"--{name.replace('_', '-')}",
            type=_oddity(name),
            default=argparse.SUPPRESS,
            metavar="VALUE",
            help=str(field.description).replace("%", "%%") + ("" if is_random else f" ({', '.join(values)})"),
        )


def _shown(value: object) -> str:
    return "-".join(f"{part:g}" for part in value) or "none" if isinstance(value, tuple) else str(value)


def _oddity(name: str) -> Callable[[str], object]:
    def read(text: str) -> object:
        try:
            return getattr(changed(Oddities(), {name: text}), name)
        except InvalidOddityError as error:
            raise argparse.ArgumentTypeError(str(error).removeprefix(f"{name}: ")) from error

    return read


def _number(least: float) -> Callable[[str], float]:
    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not least <= value < math.inf:
            raise argparse.ArgumentTypeError(f"must be a number, {least:g} or more, not {text!r}")
        return value

    return read


def _whole(least: int, most: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,9}", text) or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"must be a whole number from {least} to {most}, not {text!r}")
        return int(text)

    return read


def _name(pattern: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise argparse.ArgumentTypeError(f"must match {pattern}, not {text!r}")
        return text

    return read


def _bucket(text: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", text):
        raise argparse.ArgumentTypeError(f"must be 3 to 63 lower-case letters, digits, dots and hyphens, not {text!r}")
    return text


def _url(text: str) -> str:
    if not re.fullmatch(r"https?://[^/\s]+/?", text):
        raise argparse.ArgumentTypeError(f"must be a URL like http://127.0.0.1:4566, not {text!r}")
    return text.rstrip("/")


def _region(text: str) -> str:
    known = botocore.session.get_session().get_available_regions("rekognition")
    if text not in known:
        raise argparse.ArgumentTypeError(f"must be a Region with Rekognition ({', '.join(known)}), not {text!r}")
    return text


def fail(message: str) -> NoReturn:
    """End the process with status 1 and a one-line error on stderr."""
    sys.stderr.write(f"local_aws: {message}\n")
    sys.exit(1)
