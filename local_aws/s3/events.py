"""The events that S3 sends when an object is created or removed.


https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html
https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html
"""

import itertools
import logging
import time
from datetime import UTC, datetime
from typing import Any, cast
from urllib.parse import quote_plus
from uuid import uuid4

from moto.s3 import notifications

log = logging.getLogger(__name__)

_count = itertools.count(time.time_ns())


def sequencer() -> str:
    """Hexadecimal digits that increase with each event, padded with zeros on the right as in S3."""
    return f"{next(_count):016X}00"


def s3_event(event_name: str, bucket: Any, key: Any, notification_id: str) -> dict[str, list[dict[str, Any]]]:
    """The body of a notification: moto's ``_get_s3_event`` plus the members that moto leaves out."""
    name = str(event_name.value if hasattr(event_name, "value") else event_name).removeprefix("s3:")
    stored: dict[str, Any] = {"key": quote_plus(key.name, safe="/")}
    if not name.startswith("ObjectRemoved:"):
        stored |= {"size": key.size, "eTag": key.etag.replace('"', "")}
    if bucket.is_versioned and key.version_id != "null":
        stored["versionId"] = key.version_id
    stored["sequencer"] = sequencer()
    return {
        "Records": [
            {
                "eventVersion": "2.1",
                "eventSource": "aws:s3",
                "awsRegion": bucket.region_name,
                "eventTime": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
                "eventName": name,
                "userIdentity": {"principalId": "AWS:AIDAJDPLRKLG7UEXAMPLE"},
                "requestParameters": {"sourceIPAddress": "127.0.0.1"},
                "responseElements": {"x-amz-request-id": uuid4().hex[:16].upper(), "x-amz-id-2": uuid4().hex},
                "s3": {
                    "s3SchemaVersion": "1.0",
                    "configurationId": notification_id,
                    "bucket": {
                        "name": bucket.name,
                        "ownerIdentity": {"principalId": bucket.account_id},
                        "arn": bucket.arn,
                    },
                    "object": stored,
                },
            }
        ]
    }


def event_bridge_message(account_id: str, bucket: Any, event_name: str, key: Any) -> None:
    """Send an event to EventBridge, as moto's ``_send_event_bridge_message`` does, but with the values of S3.

    As in moto, a rule with a broken target does not fail the request that caused the event.
    """
    from moto.events.models import events_backends

    reason = {"Put": "PutObject", "Post": "POST Object", "Copy": "CopyObject"}
    stored = {"key": key.name, "size": key.size, "etag": key.etag.replace('"', ""), "sequencer": sequencer()}
    if bucket.is_versioned and key.version_id != "null":
        stored["version-id"] = key.version_id
    last = str(getattr(event_name, "value", event_name)).rsplit(":", 1)[1]
    event = {
        "version": "0",
        "id": str(uuid4()),
        "detail-type": notifications._detail_type(event_name),
        "source": "aws.s3",
        "account": account_id,
        "time": time.time(),  # moto converts it to ISO 8601 when it sends the event
        "region": bucket.region_name,
        "resources": [bucket.arn],
        "detail": {
            "version": "0",
            "bucket": {"name": bucket.name},
            "object": stored,
            "request-id": uuid4().hex[:16].upper(),
            "requester": account_id,
            "source-ip-address": "127.0.0.1",
            "reason": reason.get(last, last),
        },
    }
    for bus in events_backends[account_id][bucket.region_name].event_buses.values():
        for rule in bus.rules.values():
            try:
                rule.send_to_targets(cast(Any, event), transform_input=False)
            except Exception:
                log.exception("the event of object %s could not be sent to the targets of rule %s", key.name, rule.name)
