"""Hooks whose clients' errors hold no secrets, wherever they are shown: logs, documents, notices, XCom."""

from __future__ import annotations

from typing import Any

from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook

from include.redaction import redact


class RedactingAwsHook(AwsBaseHook):
    """An AWS hook; its clients, the asynchronous ones too, redact an error before it is raised."""

    def get_session(self, region_name: str | None = None, deferrable: bool = False) -> Any:
        """As the provider's; botocore's clients take over their session's event handlers."""
        session: Any = super().get_session(region_name, deferrable)
        events = getattr(session, "events", None) or session.get_component("event_emitter")  # boto3's, aiobotocore's
        events.register("after-call", _redact_answer, unique_id="redact answer")
        events.register("after-call-error", _redact_exception, unique_id="redact exception")
        return session


def _redact_answer(parsed: Any, **_: Any) -> None:
    """A service's error: botocore makes its exception of this."""
    error = parsed.get("Error") if isinstance(parsed, dict) else None
    if isinstance(error, dict) and isinstance(error.get("Message"), str):
        error["Message"] = redact(error["Message"])


def _redact_exception(exception: BaseException, **_: Any) -> None:
    """No answer, or half of one: the exception names the endpoint."""
    exception.args = tuple(redact(part) if isinstance(part, str) else part for part in exception.args)
