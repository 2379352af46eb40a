"""The base class of all AWS hooks here.

It removes secrets from the errors of its clients, which appear in logs, documents, notices and XCom. Its clients use
the connection's `config_kwargs` even when the caller passes a configuration.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import BotoCoreError

from label_detection_core.redaction import redact

if TYPE_CHECKING:
    from airflow.providers.amazon.aws.utils.connection_wrapper import AwsConnectionWrapper


class RedactingAwsHook(AwsBaseHook):
    """An AWS hook whose clients, the asynchronous ones too, redact each error before it is raised.

    :param config: the client's configuration. It is merged over the connection's `config_kwargs` (proxies, S3
        addressing, user agent). The Amazon provider's hook would ignore `config_kwargs` in this case.
    """

    @cached_property
    def conn_config(self) -> AwsConnectionWrapper:
        """The connection, with the merged configuration. :raises ValueError: when its `config_kwargs` are wrong."""
        found: AwsConnectionWrapper = super().conn_config
        kwargs = found.extra_config.get("config_kwargs")
        if self._config and kwargs:
            found.botocore_config = _merged(_config_of(kwargs, self.aws_conn_id), self._config)
        return found

    def get_session(self, region_name: str | None = None, deferrable: bool = False) -> Any:
        """The provider's session with the redaction. botocore's clients inherit the event handlers of their session."""
        session: Any = super().get_session(region_name, deferrable)
        events = getattr(session, "events", None) or session.get_component("event_emitter")  # boto3's or aiobotocore's
        events.register("after-call", _redact_answer, unique_id="redact answer")
        events.register("after-call-error", _redact_exception, unique_id="redact exception")
        return session


def _redact_answer(parsed: Any, **_: Any) -> None:
    """Redact a service's error response, from which botocore makes its exception."""
    error = parsed.get("Error") if isinstance(parsed, dict) else None
    if isinstance(error, dict) and isinstance(error.get("Message"), str):
        error["Message"] = redact(error["Message"])


def _redact_exception(exception: BaseException, **_: Any) -> None:
    """Redact an exception without a complete response, which names the endpoint, or one that `retries` has raised."""
    _redact_answer(getattr(exception, "response", None))
    exception.args = tuple(redact(part) if isinstance(part, str) else part for part in exception.args)


def _config_of(kwargs: Any, aws_conn_id: str | None) -> Config:
    try:
        unsigned = {"signature_version": UNSIGNED} if kwargs.get("signature_version") == "unsigned" else {}
        return Config(**{**kwargs, **unsigned})
    except (AttributeError, BotoCoreError, TypeError, ValueError) as error:
        raise ValueError(
            f"config_kwargs in the extra of the connection {aws_conn_id} cannot be used: {redact(str(error))}: "
            "correct them; they must be valid arguments of botocore.config.Config"
        ) from None


def _merged(theirs: Any, ours: Any) -> Config:
    """The connection's configuration with ours merged over it. The options inside `s3` are merged one by one."""
    merged: Config = theirs.merge(ours)
    return merged.merge(Config(s3=theirs.s3 | ours.s3)) if theirs.s3 and ours.s3 else merged
