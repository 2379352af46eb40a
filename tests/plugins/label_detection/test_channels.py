"""Notices reach Slack, mail and webhooks through Airflow's notifiers, and a channel that fails changes nothing else."""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Callable, Iterator
from io import StringIO
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowFailException
from dotenv import dotenv_values

from label_detection import channels, notifications, preflight
from label_detection.configuration import WATCHED
from label_detection_core.config.pipeline import WATCHDOG_DAG
from label_detection_core.drain.journal import run_prefix
from label_detection_core.run import notices
from label_detection_core.run.notices import Notice, NoticeDocument
from sandbox.environment import PROJECT
from tests.plugins.conftest import DAG_ID, RUN_ID, Variables
from tests.plugins.label_detection.receivers import Mail, Web, serving
from tests.plugins.label_detection.test_notifications import SINCE, context, lease_of

if TYPE_CHECKING:
    from tests.conftest import Aws, Topic

NOTICE = Notice("a subject", "what <went> wrong: {{ 1 + 1 }} & <!channel>\n")
BOTH = {"mail_to": "ops@example.com, lead@example.com", "webhook_conn_id": "hook"}
Configure = Callable[..., None]


@pytest.fixture
def web() -> Iterator[Web]:
    server = Web()
    with serving(server):
        yield server


@pytest.fixture
def mail() -> Iterator[Mail]:
    server = Mail()
    with serving(server):
        yield server


@pytest.fixture(autouse=True)
def connections(monkeypatch: pytest.MonkeyPatch, web: Web, mail: Mail) -> None:
    """Airflow's connections to the receivers."""
    extra = {"disable_ssl": True, "disable_tls": True, "from_email": "label-detection@example.com", "retry_limit": 1}
    smtp = {"conn_type": "smtp", "host": "127.0.0.1", "port": mail.port, "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", json.dumps(smtp))
    hook = {"conn_type": "http", "host": f"{web.url}/notices/secret-path"}
    monkeypatch.setenv("AIRFLOW_CONN_HOOK", json.dumps(hook))
    slack = {"conn_type": "slackwebhook", "host": f"{web.url}/services", "password": "T0/B0/secret"}
    monkeypatch.setenv("AIRFLOW_CONN_SLACK", json.dumps(slack))


@pytest.fixture
def configure(monkeypatch: pytest.MonkeyPatch) -> Configure:
    def configure(**options: str) -> None:
        for option, value in options.items():
            monkeypatch.setenv(f"AIRFLOW__LABEL_DETECTION__{option.upper()}", value)

    return configure


def lines_of_the_page() -> dict[str, str]:
    """The variables that the page about notices shows, as compose reads them from `.env`."""
    page = (PROJECT / "docs" / "notifications.md").read_text()
    (block,) = re.findall(r"```sh\n(AIRFLOW_CONN_.*?)```", page, re.DOTALL)
    return {name: value or "" for name, value in dotenv_values(stream=StringIO(block)).items()}


def test_the_variables_of_the_page_send_to_all_channels(
    web: Web, mail: Mail, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    options = {}
    for name, value in lines_of_the_page().items():
        if name.startswith("AIRFLOW_CONN_"):
            here = {"host": "127.0.0.1", "port": mail.port} if "SMTP" in name else {"host": web.url}
            found = json.loads(value) | here
            found.get("extra", {}).update(disable_tls=True)  # the receiver has none
            found.pop("login", None)
            monkeypatch.setenv(name, json.dumps(found))
        else:
            options[name.removeprefix("AIRFLOW__LABEL_DETECTION__").lower()] = value
    assert options.keys() == channels.PACKAGES.keys()
    channels.send(options, NOTICE, document)
    assert errors(caplog) == []
    assert sorted(path for path, _ in web.received) == ["/", "/T000/B000/XXXX"]
    assert len(mail.received) == 1


def document() -> NoticeDocument:
    return NoticeDocument(event="run_failed", subject=NOTICE.subject, text=NOTICE.body, dag_id=DAG_ID, run_id=RUN_ID)


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The errors that the channels have logged."""
    return [
        record.getMessage()
        for record in caplog.records
        if record.name == channels.__name__ and record.levelno == logging.ERROR
    ]


def text_of(mail: Mail) -> tuple[list[str], str, str]:
    """Recipients, subject and text of the only mail."""
    ((recipients, message),) = mail.received
    (part,) = [part for part in message.walk() if part.get_content_maintype() == "text"]
    return recipients, str(message["Subject"]), part.get_payload(decode=True).decode()  # type: ignore[union-attr]


def test_a_mail_has_the_notice_as_it_is(mail: Mail, caplog: pytest.LogCaptureFixture) -> None:
    channels.send({"mail_to": BOTH["mail_to"]}, NOTICE, document)
    recipients, subject, text = text_of(mail)
    assert recipients == ["ops@example.com", "lead@example.com"]
    assert subject == "a subject"
    assert "what &lt;went&gt; wrong: {{ 1 + 1 }} &amp; &lt;!channel&gt;" in text
    assert errors(caplog) == []


def test_a_webhook_gets_the_notice_as_json(web: Web) -> None:
    channels.send({"webhook_conn_id": "hook"}, NOTICE, document)
    ((path, body),) = web.received
    assert path == "/notices/secret-path"
    assert body == {
        "schema": "label-detection-notice/1",
        "event": "run_failed",
        "subject": NOTICE.subject,
        "text": NOTICE.body,
        "dag_id": DAG_ID,
        "run_id": RUN_ID,
        "report": None,
        "digest": None,
    }


def test_slack_gets_the_notice_without_slacks_own_marks(web: Web) -> None:

    channels.send({"slack_conn_id": "slack"}, NOTICE, document)
    ((path, body),) = web.received
    assert path == "/services/T0/B0/secret"
    assert body["text"] == "*a subject*\nwhat &lt;went&gt; wrong: {{ 1 + 1 }} &amp; &lt;!channel&gt;\n"


def test_a_channel_of_two_pipelines_gets_a_notice_once(web: Web, mail: Mail) -> None:
    channels.send_to_all([BOTH, BOTH, {"mail_to": BOTH["mail_to"], "smtp_conn_id": "smtp_default"}], NOTICE, document)
    assert (len(web.received), len(mail.received)) == (1, 1)


@pytest.mark.parametrize(
    "trouble", ["no such connection", "the receiver refuses", "the receiver is gone", "the package is missing"]
)
@pytest.mark.parametrize("broken", ["mail_to", "webhook_conn_id"])
def test_a_channel_that_fails_is_an_error_in_the_log_and_the_other_still_gets_the_notice(
    web: Web,
    mail: Mail,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    broken: str,
    trouble: str,
) -> None:
    is_mail = broken == "mail_to"
    name = "SMTP_DEFAULT" if is_mail else "HOOK"
    if trouble == "no such connection":
        monkeypatch.delenv(f"AIRFLOW_CONN_{name}")
    elif trouble == "the receiver refuses":
        mail.refused, web.status = is_mail, 200 if is_mail else 500
    elif trouble == "the receiver is gone":
        gone = {"conn_type": "smtp" if is_mail else "http", "host": "127.0.0.1", "port": 1}
        extra = {"disable_ssl": True, "disable_tls": True, "from_email": "a@example.com", "retry_limit": 1}
        monkeypatch.setenv(f"AIRFLOW_CONN_{name}", json.dumps(gone | ({"extra": extra} if is_mail else {})))
    else:
        module = "smtp.notifications.smtp" if is_mail else "http.notifications"
        monkeypatch.setitem(sys.modules, f"airflow.providers.{module}", None)
    channels.send(BOTH, NOTICE, document)
    (error,) = errors(caplog)
    assert error.startswith(broken)
    assert f"this notice could not be sent: {NOTICE.subject}\n{NOTICE.body}" in error
    assert ("install the package apache-airflow-providers-" in error) is (trouble == "the package is missing")
    if is_mail:
        assert len(web.received) == 1
    else:
        assert len(mail.received) == 1


def test_a_channel_that_does_not_answer_holds_up_nothing_for_long(
    web: Web, mail: Mail, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(channels, "MOST_SECONDS", 2.0)
    web.hold.clear()
    try:
        channels.send({"webhook_conn_id": "hook"}, NOTICE, document)
        assert web.received == [], "it has returned although the receiver has not"
    finally:
        web.hold.set()
    (error,) = errors(caplog)
    assert error.startswith("webhook_conn_id: no answer after 2 seconds; this notice could not be sent")


def test_the_longest_wait_is_shorter_than_what_airflow_leaves_a_callback() -> None:
    from airflow.sdk.configuration import conf

    assert conf.getfloat("core", "task_success_overtime") > channels.MOST_SECONDS


@pytest.mark.parametrize("option", channels.PACKAGES)
def test_a_channel_whose_package_is_missing_fails_the_plan_with_one_line(
    aws: Aws, monkeypatch: pytest.MonkeyPatch, option: str
) -> None:
    package, extra = channels.PACKAGES[option]
    for module in ("slack.notifications", "smtp.notifications", "http.notifications"):
        monkeypatch.setitem(sys.modules, f"airflow.providers.{module}", None)
    value = "ops@example.com" if option == "mail_to" else "some_id"
    settings = aws.settings.model_copy(update={option: value})
    with pytest.raises(AirflowFailException) as caught:
        preflight.check_modules(settings)
    (line,) = str(caught.value).splitlines()
    assert line.startswith(f"{option} is set, but its notifier cannot be imported")
    assert f"install the package {package} (the extra [{extra}]" in line


def test_what_is_installed_passes_the_plan(aws: Aws) -> None:
    preflight.check_modules(aws.settings.model_copy(update=BOTH))


def test_a_failed_run_sends_the_notice_with_the_runs_report(
    aws: Aws, variables: Variables, configure: Configure, topic: Topic, web: Web, mail: Mail
) -> None:
    report = {"schema": "label-detection-report/1", "images": {"labelled": 3}}
    key = f"{run_prefix(RUN_ID)}report.json"
    aws.s3.put_object(Bucket=aws.settings.final_bucket, Key=key, Body=json.dumps(report))
    configure(sns_topic_arn=topic.arn, **BOTH)
    notifications.run_failed(context("write_report"))
    ((subject, text),) = topic.published()
    ((_, body),) = web.received
    assert body | {"report": report} == body
    assert (body["event"], body["subject"], body["text"]) == ("run_failed", subject, text)
    assert (body["dag_id"], body["run_id"]) == (DAG_ID, RUN_ID)
    assert text_of(mail)[1] == subject


def test_a_run_without_a_report_sends_the_notice_without_it(
    aws: Aws, variables: Variables, configure: Configure, web: Web
) -> None:
    configure(**BOTH)
    notifications.stop_failed(context() | {"ti": SimpleNamespace(dag_id=DAG_ID, run_id="none", task_id="stop_model")})
    ((_, body),) = web.received
    assert (body["event"], body["run_id"], body["report"]) == ("stop_failed", "none", None)


def watchdog_of(*pipelines: dict[str, Any]) -> DAG:
    return DAG(WATCHDOG_DAG, schedule=None, default_args={WATCHED: [{"label_detection": own} for own in pipelines]})


def test_a_failed_watchdog_reaches_the_channels_of_all_its_pipelines(
    aws: Aws, variables: Variables, web: Web, mail: Mail
) -> None:
    dag = watchdog_of(
        {"name": "leaves", "options": {"mail_to": BOTH["mail_to"]}},
        {"name": "parts", "options": {"webhook_conn_id": "hook"}},
    )
    notifications.watchdog_failed(context("stop_expired_models", dag=dag))
    assert (len(web.received), len(mail.received)) == (1, 1)
    assert web.received[0][1]["event"] == "watchdog_failed"


def test_what_the_watchdog_did_reaches_only_the_channels_of_the_leases_pipeline(aws: Aws, web: Web, mail: Mail) -> None:
    dag = watchdog_of(
        {"name": "leaves", "options": {"mail_to": BOTH["mail_to"]}},
        {"name": "parts", "options": {"webhook_conn_id": "hook"}},
    )
    lease = lease_of(aws, dag_id=f"{DAG_ID}__parts")
    notifications.watchdog_acted(dag, notices.Stopped(lease, "its run was deleted", True, SINCE))
    ((_, body),) = web.received
    assert (body["event"], body["dag_id"], body["run_id"]) == ("watchdog_acted", f"{DAG_ID}__parts", RUN_ID)
    assert mail.received == []
