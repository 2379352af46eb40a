"""Returns the part of a wrong value that an error may show: the value may be a secret in the wrong option."""

from __future__ import annotations

import re
from typing import Any

#: Options that name things in AWS or Airflow. Users put secrets into these by mistake.
_NAMES = {"aws_conn_id", "class_names", "dead_man_switch_role_arn", "final_bucket", "model_arn", "queue_url"}
_NAMES |= {"mail_to", "slack_conn_id", "smtp_conn_id", "sns_topic_arn", "source_bucket", "webhook_conn_id"}
_NAMES |= {"analysis_pool", "analysis_queue", "control_queue"}
#: An error shows wrong values of other options if they match: short words without digits, or numbers and signs as in
#: a cron expression.
_PLAIN = re.compile(r"(?=.{1,24}\Z)(?:@?[A-Za-z]{1,12}(?:[/_ -][A-Za-z]{1,12})*|[\d*/,. +-]+)", re.ASCII)
#: The part of any value that an error shows: an ARN, the bucket of an S3 URL, or the host of a URL. The path of a URL
#: is not shown, since the path of a web hook is a secret.
_NO_SECRET = re.compile(
    r"arn:aws[a-z-]*:[a-z\d-]+:[a-z\d-]*:(?:\d{12})?:[\w:/.-]*|s3://[a-z\d.-]{1,63}|https?://[a-z\d.-]+(?::\d+)?(?=/)",
    re.ASCII,
)


def wrong_value(option: str, value: Any) -> str:
    """Return a wrong value as text for an error, which every reader of the logs sees; `wrong` if it may be a secret."""
    if isinstance(value, dict | list):
        return "{…}" if isinstance(value, dict) else "[…]"
    if not isinstance(value, str):
        return repr(value) if isinstance(value, int | float | None) else "wrong"
    if option not in _NAMES and _PLAIN.fullmatch(value):
        return repr(value)
    seen = _NO_SECRET.match(value)
    return f"{seen[0] + ('' if seen.end() == len(value) else '…')!r}" if seen else "wrong"
