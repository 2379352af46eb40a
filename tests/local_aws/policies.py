"""IAM policies for tests, and the error of a call under them."""

from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError

ROLE = "arn:aws:iam::123456789012:role/switch"
SCHEDULE = "arn:aws:scheduler:us-east-1:123456789012:schedule/default/label-detection-a"
SOURCE = "arn:aws:s3:::label-detection-source"
FINAL = "arn:aws:s3:::label-detection-final"


def allow(*pairs: tuple[str, str], **more: Any) -> dict[str, Any]:
    statements = [{"Effect": "Allow", "Action": action, "Resource": resource} for action, resource in pairs]
    return {"Version": "2012-10-17", "Statement": statements} | more


def error_of(call: Callable[..., Any], **arguments: Any) -> tuple[int, str, str]:
    """Status, code and message of a call's error; (0, "", "") if the call succeeds."""
    try:
        call(**arguments)
    except ClientError as error:
        answer = error.response
        return answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"], answer["Error"].get("Message", "")
    return 0, "", ""
