"""The types of the options: each one checks a value, and its error tells what the value must be."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from croniter import CroniterError, croniter
from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag

from label_detection_core.config import class_names
from label_detection_core.config.model_types import model_of

#: AWS: the ARN of a standard topic. A FIFO topic cannot send mail.
TOPIC_ARN = re.compile(r"arn:[a-z\d-]+:sns:(?P<region>[a-z\d-]+):\d{12}:[a-zA-Z0-9_-]{1,256}")
_ROLE_ARN = re.compile(r"arn:[a-z\d-]+:iam::\d{12}:role/[\w+=,.@/-]+")
#: A mail address without a display name. No blanks, so that it cannot add lines to the head of a mail, and no colon, so
#: that it is no URL or ARN with a login.
_ADDRESS = r"[^\s@,;:/<>\"()]{1,64}@[a-zA-Z\d.-]{1,190}"
#: AWS: 3-63 characters: lower-case letters, digits, dots and hyphens. The first and the last are a letter or a digit.
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
#: AWS: endings of names that do not belong to a general purpose bucket → the resource. S3 events contain the bucket's
#: own name, so an alias would not match them. And an alias of the source bucket, as final_bucket, is the source bucket.
_NO_BUCKETS = {
    "--x-s3": "an S3 Express One Zone directory bucket, which announces no uploads",
    "--xa-s3": "an access point of an S3 Express One Zone directory bucket",
    "-s3alias": "an access point's alias",
    "--ol-s3": "an Object Lambda access point's alias",
    ".mrap": "a multi-Region access point's alias",
    "--table-s3": "an S3 table bucket",
}
#: AWS: storage classes whose objects can be read without a restore.
StorageClass = Literal["STANDARD", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER_IR"]
#: The value of `min_confidence` that keeps the service's own thresholds.
MODEL = "model"
_PRESETS = {"@once", "@continuous", "@hourly", "@daily", "@weekly", "@monthly", "@quarterly", "@yearly"}


def _matching(pattern: re.Pattern[str], must_be: str) -> AfterValidator:
    def check(value: str) -> str:
        if not pattern.fullmatch(value):
            raise ValueError(f"must be {must_be}")
        return value

    return AfterValidator(check)


def _schedule(value: str) -> str:
    if value and value not in _PRESETS and not _is_cron(value):
        raise ValueError("must be a cron expression of five fields, an Airflow preset such as @hourly, or empty")
    return value


def _timezone(value: str) -> str:
    try:
        return ZoneInfo(value).key
    except (KeyError, OSError, ValueError):  # unknown name; a folder of zones; a path outside the database
        raise ValueError("must be the IANA name of a time zone, such as Europe/Zurich or UTC") from None


def _bucket(value: str) -> str:
    if value.startswith("arn:"):
        raise ValueError("must be the name of an S3 bucket, not an ARN: use the bucket's own name")
    for ending, what in _NO_BUCKETS.items():
        if value.endswith(ending):
            raise ValueError(
                f"must be the name of a general purpose S3 bucket, but is {what}: use the name of such a bucket"
            )
    return value


def _confidence(value: Any) -> Any:
    """Return a number unchanged, and `model` in lower case. :raises ValueError: for any other value."""
    if isinstance(value, str) and value.strip().lower() == MODEL:
        return MODEL
    try:
        if not isinstance(value, bool):
            float(value)
            return value
    except (TypeError, ValueError):
        pass
    raise ValueError(f"must be a number from 0 to 100, or {MODEL!r} for the model's own thresholds")


def _storage_class(value: Any) -> Any:
    readable = StorageClass.__args__  # type: ignore[attr-defined]
    if value is not None and value not in readable:
        raise ValueError(
            f"must be empty (each copy keeps the class of its original) or one of {', '.join(readable)}: S3 does not "
            "know other classes, or needs hours to restore their objects"
        )
    return value


def _is_cron(value: str) -> bool:
    try:
        return len(value.split()) == 5 and croniter(value).get_next() > 0
    except CroniterError:  # also for a date that never comes, such as 30 February
        return False


Budget = Annotated[float, Field(gt=0, allow_inf_nan=False)]
QueueUrl = Annotated[
    str,
    _matching(
        # No login and no query: every user of Airflow can read the settings of a run.
        re.compile(r"https?://[^\s/@?#]+/[^\s@?#]+"),
        "the URL of an SQS queue, as `aws sqs get-queue-url` prints it",
    ),
]
Bucket = Annotated[
    str,
    AfterValidator(_bucket),
    _matching(
        _BUCKET,
        "the name of an S3 bucket: 3 to 63 lower-case letters, digits, dots and hyphens, without s3:// and path",
    ),
]
Confidence = Annotated[
    Annotated[float, Field(ge=0, le=100), Tag("number")] | Annotated[Literal["model"], Tag("word")],
    Discriminator(lambda value: "word" if value == MODEL else "number"),
    BeforeValidator(_confidence),
]
ModelArn = Annotated[str, AfterValidator(lambda value: model_of(value).arn)]
ClassNames = Annotated[tuple[Annotated[str, Field(min_length=1)], ...], BeforeValidator(class_names.read)]
#: Airflow: the characters of a connection id, except #. A connection's URI contains ://, and its JSON contains braces.
#: AWS: an access key id has 20 characters, a secret access key 40.
ConnectionId = Annotated[
    str,
    _matching(
        re.compile(
            r"(?!.*://)(?!(?:AKIA|ASIA)[A-Z\d]{16}\b)(?!(?=.*[A-Z])(?=.*[a-z])(?=.*\d)[A-Za-z\d/]{40}$)"
            r"[\w!()\-.:/\\]{1,250}"
        ),
        "the id of an Airflow connection, not a connection URI or an access key",
    ),
]
TopicArn = Annotated[
    str, _matching(TOPIC_ARN, "the ARN of a standard SNS topic: arn:aws:sns:<region>:<account>:<name>")
]
MailAddresses = Annotated[
    str,
    BeforeValidator(lambda value: ", ".join(map(str, value)) if isinstance(value, list) else value),
    _matching(
        re.compile(rf"{_ADDRESS}(?: *, *{_ADDRESS}){{0,49}}", re.ASCII),
        "mail addresses with commas between them, such as ops@example.com, lead@example.com",
    ),
]
TimeOfDay = Annotated[
    str,
    BeforeValidator(
        lambda value: f"{value // 60:02}:{value % 60:02}" if type(value) is int else value
    ),  # as YAML reads
    _matching(re.compile(r"(?:[01]\d|2[0-3]):[0-5]\d", re.ASCII), "a time of day from 00:00 to 23:59, such as 08:00"),
]
RoleArn = Annotated[str, _matching(_ROLE_ARN, "the ARN of an IAM role: arn:aws:iam::<account>:role/<name>")]
Schedule = Annotated[str, AfterValidator(_schedule)]
TimeZone = Annotated[str, AfterValidator(_timezone)]
ReadableClass = Annotated[StorageClass | None, BeforeValidator(_storage_class)]
#: AWS: a secret access key has 40 characters, here without signs.
_NO_KEY = r"(?!(?=.*[A-Z])(?=.*[a-z])(?=.*\d)[A-Za-z\d]{40}$)"
#: A name that no worker and no pool has: probably the user means the default.
_NO_WORD_FOR_NONE = r"(?!(?i:off|none|null|false)$)"
#: Airflow: any text of at most 256 characters. Other characters are probably a mistake, such as a list of pools.
PoolName = Annotated[
    str,
    _matching(
        re.compile(_NO_KEY + _NO_WORD_FOR_NONE + r"\w[\w .-]{0,255}"),
        "the name of one Airflow pool, or empty: at most 256 letters, digits, blanks and the characters _ . -",
    ),
]
#: Celery: a worker's list of queues has commas between the names.
CeleryQueue = Annotated[
    str,
    _matching(
        re.compile(_NO_KEY + _NO_WORD_FOR_NONE + r"\w[\w.-]{0,255}"),
        "the name of one Celery queue, or empty: at most 256 letters, digits and the characters _ . -",
    ),
]
