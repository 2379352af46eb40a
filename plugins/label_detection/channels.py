"""Sends notices through Airflow's own notifiers: to Slack, by mail, and as JSON to a webhook. Each is optional."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from html import escape
from typing import Any
from urllib.parse import urlsplit

from airflow.sdk import BaseHook
from airflow.sdk.log import mask_secret

from label_detection_core.redaction import redact
from label_detection_core.run.notices import Notice, NoticeDocument

log = logging.getLogger(__name__)

#: The options that name a channel → the package with its notifier, and the extra of the wheel that brings it.
PACKAGES = {
    "slack_conn_id": ("apache-airflow-providers-slack", "slack"),
    "mail_to": ("apache-airflow-providers-smtp", "mail"),
    "webhook_conn_id": ("apache-airflow-providers-http", "webhook"),
}
#: The options that this module reads.
OPTIONS = (*PACKAGES, "smtp_conn_id")
#: Seconds after which a channel is given up. Airflow ends a callback 20 seconds after its task.
MOST_SECONDS = 15.0
_TIMEOUT = 10  # seconds for an answer of Slack or of a webhook
_Document = Callable[[], NoticeDocument]


def send(options: Mapping[str, str], notice: Notice, document: _Document) -> None:
    """Send a notice to the channels of one pipeline. See `send_to_all`."""
    send_to_all([options], notice, document)


def send_to_all(pipelines: Iterable[Mapping[str, str]], notice: Notice, document: _Document) -> None:
    """Send a notice once to each channel, in parallel, for `MOST_SECONDS` at most. An error is only logged.

    :param pipelines: the valid options of each pipeline, of which `OPTIONS` are read.
    :param document: makes the notice's JSON for a webhook; called only if there is one.
    """
    found = dict.fromkeys(channel for options in pipelines for channel in _channels(options))
    sending = [
        # A daemon: a channel that never answers does not keep the process from ending.
        (channel[0], threading.Thread(target=_send_one, args=(channel, notice, document), daemon=True))
        for channel in found
    ]
    for _, thread in sending:
        thread.start()
    end = time.monotonic() + MOST_SECONDS
    for name, thread in sending:
        thread.join(max(end - time.monotonic(), 0))
        if thread.is_alive():
            log.error("%s: no answer after %g seconds; %s", name, MOST_SECONDS, _lost(notice))


def missing_packages(options: Mapping[str, Any]) -> list[str]:
    """One line per channel that is set, but whose notifier is not installed."""
    return [
        _not_installed(name, error)
        for name in PACKAGES
        if options.get(name)
        for error in [_import_error(name)]
        if error
    ]


def _channels(options: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    """Option, connection id and mail addresses of each channel that is set."""
    for name in PACKAGES:
        if value := options.get(name):
            is_mail = name == "mail_to"
            yield name, (options.get("smtp_conn_id") or "smtp_default") if is_mail else value, value if is_mail else ""


def _send_one(channel: tuple[str, str, str], notice: Notice, document: _Document) -> None:
    name, conn_id, mail_to = channel
    try:
        if name == "slack_conn_id":
            _to_slack(conn_id, notice)
        elif name == "mail_to":
            _by_mail(conn_id, mail_to, notice)
        else:
            _to_webhook(conn_id, document)
    except ImportError as error:
        log.error("%s; %s", _not_installed(name, error), _lost(notice))  # the line has the cause
    except Exception as error:  # noqa: BLE001  # any error: a notice must not change the outcome that it reports
        # No traceback: a library's frames and messages may have the address, and a webhook's address is a secret.
        log.error("%s: %s: %s; %s", name, type(error).__name__, redact(str(error)), _lost(notice))
    else:
        log.info("sent by %s: %s", name, notice.subject)


def _lost(notice: Notice) -> str:
    return f"this notice could not be sent: {notice.subject}\n{notice.body}"


# `notify` is called: calling the notifier itself would render the text as a template, and the text quotes errors.


def _to_slack(conn_id: str, notice: Notice) -> None:
    from airflow.providers.slack.notifications.slack_webhook import SlackWebhookNotifier

    # Slack: & < > are special, for example in <!channel>.
    text = f"*{escape(notice.subject, quote=False)}*\n{escape(notice.body, quote=False)}"
    SlackWebhookNotifier(slack_webhook_conn_id=conn_id, text=text, timeout=_TIMEOUT).notify({})


def _by_mail(conn_id: str, mail_to: str, notice: Notice) -> None:
    from airflow.providers.smtp.notifications.smtp import SmtpNotifier

    text = f"<pre>{escape(notice.body)}</pre>"
    SmtpNotifier(smtp_conn_id=conn_id, to=mail_to, subject=notice.subject, html_content=text).notify({})


def _to_webhook(conn_id: str, document: _Document) -> None:
    from airflow.providers.http.notifications import HttpNotifier

    connection = BaseHook.get_connection(conn_id)
    address = urlsplit(connection.host or "")
    for part in (address.path.strip("/"), address.query):
        if part:
            mask_secret(part)  # the HTTP hook logs the address when it gets no answer
    options = {"timeout": _TIMEOUT}
    HttpNotifier(http_conn_id=conn_id, json=document().to_dict(), extra_options=options).notify({})


def _import_error(name: str) -> ImportError | None:
    try:
        if name == "slack_conn_id":
            from airflow.providers.slack.notifications import slack_webhook  # noqa: F401
        elif name == "mail_to":
            from airflow.providers.smtp.notifications import smtp  # noqa: F401
        else:
            from airflow.providers.http.notifications import HttpNotifier  # noqa: F401
    except ImportError as error:
        return error
    return None


def _not_installed(name: str, error: ImportError) -> str:
    package, extra = PACKAGES[name]
    return (
        f"{name} is set, but its notifier cannot be imported ({error}): install the package {package} (the extra "
        f"[{extra}] of airflow-label-detection) on the workers and the dag-processor, or leave {name} empty"
    )
