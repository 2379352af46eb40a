"""What an error may show of a wrong value, which may be a secret in the wrong place."""

from __future__ import annotations

import re
from typing import Any

#: Options that name things of AWS or Airflow: these are where secrets end up by mistake.
_NAMES = {"aws_conn_id", "class_names", "dead_man_switch_role_arn", "final_bucket", "model_arn", "queue_url"}
_NAMES |= {"sns_topic_arn", "source_bucket"}
#: What a wrong value of another option may be for an error to show it: short words, which have no digits, or numbers,
#: as a cron expression has them.
_PLAIN = re.compile(r"(?=.{1,24}\Z)(?:@?[A-Za-z]{1,12}(?:[/_ -][A-Za-z]{1,12})*|[\d*/,. +-]+)", re.ASCII)
#: What may be seen of any value: an ARN, the bucket of a path in S3, a URL's host. A web hook's path is a secret.
_NO_SECRET = re.compile(
    r"arn:aws[a-z-]*:[a-z\d-]+:[a-z\d-]*:(?:\d{12})?:[\w:/.-]*|s3://[a-z\d.-]{1,63}|https?://[a-z\d.-]+(?::\d+)?(?=/)",
    re.ASCII,
)


def wrong_value(option: str, value: Any) -> str:
    """A wrong value as text for an error, which all readers of the DAG and its logs see; `wrong` if it is not shown."""
    if isinstance(value, dict | list):
        return "{…}" if isinstance(value, dict) else "[…]"
    if not isinstance(value, str):
        return repr(value) if isinstance(value, int | float | None) else "wrong"
    if option not in _NAMES and _PLAIN.fullmatch(value):
        return repr(value)
    seen = _NO_SECRET.match(value)
    return f"{seen[0] + ('' if seen.end() == len(value) else '…')!r}" if seen else "wrong"
