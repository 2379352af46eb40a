"""A pipeline whose runs fail one after the other is paused; its neighbour is not. On a real scheduler.

The notices and the digest arrive at receivers on this machine, through Airflow's own connections and notifiers.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, date, datetime, timedelta
from email.message import Message
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from label_detection_core.config.pipeline import WATCHDOG_DAG
from label_detection_core.config.settings import environment_name
from label_detection_core.run.digest import SentDigest, sent_name
from sandbox.aws_clients import client
from sandbox.waiting import wait_until
from sandbox.world import WorldOptions
from tests.plugins.label_detection.receivers import Mail, Web, serving
from tests.seed import SEED
from tests.system.conftest import make_place
from tests.system.test_pipelines import PipelinesWorld

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("series")]

PAUSE_AFTER = 3
GOOD, BROKEN, POOLLESS = (f"label_detection__{name}" for name in ("good", "broken", "poolless"))
MAIL_TO = "ops@example.com"
#: A port that needs root and that no service of today uses.
_CLOSED_PORT = 1


def _zone_of_noon() -> str:
    """A time zone in which it is about noon, so that no test is at midnight."""
    ahead = 12 - datetime.now(UTC).hour
    return f"Etc/GMT{-ahead:+d}"  # the sign of these names is the opposite one


def _smtp(port: int) -> dict[str, Any]:
    extra = {"disable_ssl": True, "disable_tls": True, "from_email": "label-detection@example.com"}
    return {"conn_type": "smtp", "host": "127.0.0.1", "port": port, "extra": json.dumps(extra)}


class SeriesWorld(PipelinesWorld):
    """A world with three pipelines, each with its own model.

    Notices of the broken one arrive in the queue `notices`, at `web` and at `mail`. Those of the poolless one go to
    `down`, which answers 500, and to a mail server that does not exist.
    """

    notices: str

    def __init__(self, folder: Path, options: WorldOptions, web: Web, down: Web, mail: Mail) -> None:
        super().__init__(folder, options)
        self.web, self.down, self.mail = web, down, mail

    def _read_aws(self, env_file: Path) -> None:
        super()._read_aws(env_file)
        sns = client(self.aws_environment, "sns")
        topic = sns.create_topic(Name="alarms")["TopicArn"]
        self.notices = self.sqs.create_queue(QueueName="notices")["QueueUrl"]
        sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint="arn:aws:sqs:us-east-1:123456789012:notices")
        self.pipelines = {
            "good": {"pause_after_failed_runs": 1},
            "poolless": {
                **self._place("poolless"),
                "model_arn": self.control("model/3")["arn"],
                "analysis_pool": "never_made",
                "webhook_conn_id": "down",
                "mail_to": MAIL_TO,
                "smtp_conn_id": "gone",
            },
            "broken": {
                **self._place("torn"),
                "model_arn": self.control("model/2")["arn"],
                "pause_after_failed_runs": PAUSE_AFTER,
                "sns_topic_arn": topic,
                "webhook_conn_id": "web",
                "mail_to": MAIL_TO,
                "digest_at": "00:00",
                "timezone": _zone_of_noon(),
            },
        }
        Path(self.environment[environment_name("pipelines")]).write_text(yaml.safe_dump(self.pipelines))

    def is_paused(self, dag_id: str) -> bool:
        """Whether a DAG is paused."""
        return bool(self.api.call("GET", f"/dags/{dag_id}")["is_paused"])

    def overview(self, dag_id: str) -> dict[str, Any]:
        """What the page of all runs shows of a pipeline now."""
        cookies = {"_token": self.api.token()}
        url = f"{self.url}/label-detection/pipelines/{dag_id}/now"
        with requests.Session() as session:
            session.trust_env = False
            answer = session.get(url, cookies=cookies, timeout=30)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def connect(self) -> None:
        """Create the connections of the mail servers in Airflow; those of the webhooks are in the environment."""
        for conn_id, port in (("smtp_default", self.mail.port), ("gone", _CLOSED_PORT)):
            self.api.call("POST", "/connections", {"connection_id": conn_id, **_smtp(port)})

    def posted(self, event: str) -> list[dict[str, Any]]:
        """What the webhook has received about an event."""
        return [body for _, body in self.web.received if body["event"] == event]

    def mails(self) -> list[tuple[list[str], str, str]]:
        """Recipients, subject and text of the mails so far."""
        return [(recipients, str(mail["Subject"]), _text_of(mail)) for recipients, mail in self.mail.received]

    def report_of(self, name: str, run_id: str) -> dict[str, Any]:
        """The report of a run, in the bucket."""
        return self.document(self.option(name, "final_bucket"), f"runs/{run_id}/report.json")

    def subjects(self) -> list[str]:
        """The subjects of the notices so far."""
        found: dict[str, str] = {}  # by message id: SQS may deliver one twice
        while True:
            answer = self.sqs.receive_message(QueueUrl=self.notices, MaxNumberOfMessages=10, WaitTimeSeconds=2)
            if not answer.get("Messages"):
                return [*found.values()]
            for message in answer["Messages"]:
                found[message["MessageId"]] = json.loads(message["Body"])["Subject"]
                self.sqs.delete_message(QueueUrl=self.notices, ReceiptHandle=message["ReceiptHandle"])


def _text_of(mail: Message) -> str:
    (part,) = [part for part in mail.walk() if part.get_content_maintype() == "text"]
    payload = part.get_payload(decode=True)
    assert isinstance(payload, bytes)
    return payload.decode()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SeriesWorld]:
    tmp_path = make_place(tmp_path_factory, "series")
    web, down, mail = Web(), Web(), Mail()
    down.status = 500
    options = WorldOptions(
        settings={"schedule": "", "wait_minutes": "0"},
        aws={"start-seconds": "1", "stop-seconds": "1", "more-models": "2", "seed": str(SEED)},
        environment={
            environment_name("pipelines"): str(tmp_path / "pipelines.yaml"),
            "AIRFLOW_CONN_WEB": json.dumps({"conn_type": "http", "host": f"{web.url}/notices"}),
            "AIRFLOW_CONN_DOWN": json.dumps({"conn_type": "http", "host": f"{down.url}/notices"}),
        },
    )
    with ExitStack() as stack:
        for server in (web, down, mail):
            stack.enter_context(serving(server))
        world = stack.enter_context(SeriesWorld(tmp_path / "world", options, web, down, mail))
        for dag_id in (GOOD, BROKEN, POOLLESS, WATCHDOG_DAG):
            world.api.wait_for_dag(dag_id, check=world.check)
        world.control("oddities", "DELETE")
        world.connect()
        yield world


def run(world: SeriesWorld, dag_id: str, **params: Any) -> tuple[str, str]:
    """Run a DAG; return the run's id and state."""
    world.control("queues", "DELETE")  # makes GetQueueAttributes report the current counts
    run_id = world.api.trigger(dag_id, conf=params)
    return run_id, world.api.wait_for_run(dag_id, run_id, 240, world.check)


def test_a_permission_that_breaks_costs_three_starts_and_sends_one_notice(world: SeriesWorld, picture: bytes) -> None:
    def put(name: str, key: str, body: bytes = b"") -> None:
        world.s3.put_object(Bucket=world.option(name, "source_bucket"), Key=key, Body=body or picture + key.encode())

    def starts() -> int:
        return [change["status"] for change in world.control("model/2")["history"]].count("RUNNING")

    world.api.trigger(WATCHDOG_DAG)  # its first look sends no digest
    put("broken", "1.png")
    denied: dict[str, Any] = {"status": 400, "code": "AccessDeniedException", "message": "not yours", "times": 10_000}
    world.control("faults", "PUT", [{"service": "rekognition", "operation": "DetectCustomLabels", **denied}])
    failed = []
    for number in range(1, PAUSE_AFTER + 1):
        assert not world.is_paused(BROKEN), f"before run {number}"
        run_id, state = run(world, BROKEN)
        assert state == "failed"
        failed.append(run_id)
        if number == 1:
            assert run(world, BROKEN, start_at_images=100)[1] == "success", "a skipped run must not end the series"
    wait_until(lambda: world.is_paused(BROKEN), 60, "the pause", world.check)
    assert world.overview(BROKEN)["paused_why"] == (
        "This DAG was paused after 3 failed runs in a row: remove the cause, then unpause the DAG."
    )
    assert starts() == PAUSE_AFTER
    assert world.control("model/2")["status"] == "STOPPED"
    subject = f"[label detection] Run failed: {BROKEN}"
    assert world.subjects() == [subject]
    assert [world.is_paused(dag_id) for dag_id in (GOOD, WATCHDOG_DAG)] == [False, False]

    world.control("faults", "DELETE")
    put("good", "2.png")
    assert run(world, GOOD)[1] == "success"
    world.api.pause(BROKEN, paused=False)
    put("broken", "no picture.png", b"no picture")
    mended, state = run(world, BROKEN)
    assert state == "success"
    assert world.keys(world.option("broken", "source_bucket")) == set(), "no picture may be lost"
    assert not world.is_paused(BROKEN)
    shown = world.overview(BROKEN)
    assert (shown["paused"], shown["paused_why"]) == (False, None)

    (notice,) = world.posted("run_failed")
    assert (notice["dag_id"], notice["run_id"], notice["subject"]) == (BROKEN, failed[0], subject)
    assert notice["report"] == world.report_of("broken", failed[0])
    ((recipients, mail_subject, text),) = world.mails()
    assert (recipients, mail_subject) == ([MAIL_TO], subject)
    assert failed[0] in text
    _test_the_digest(world, failed[0], mended)


def _test_the_digest(world: SeriesWorld, failed: str, mended: str) -> None:
    """Make two runs those of yesterday, and the last digest that of the day before; then let the watchdog look."""
    bucket, reports = world.option("broken", "final_bucket"), []
    for run_id in (failed, mended):
        report = world.report_of("broken", run_id)
        ended = datetime.fromisoformat(report["run"]["ended_at"]) - timedelta(days=1)
        report["run"]["ended_at"] = ended.isoformat()
        world.s3.put_object(Bucket=bucket, Key=f"runs/{run_id}/report.json", Body=json.dumps(report).encode())
        reports.append(report)
    name = sent_name(BROKEN)
    day = json.loads(world.api.call("GET", f"/variables/{name}")["value"])["day"]
    before = SentDigest(day=date.fromisoformat(day) - timedelta(days=1)).model_dump_json()
    assert world.posted("digest") == []
    world.api.call("PATCH", f"/variables/{name}", {"key": name, "value": before})
    for _ in range(2):
        assert run(world, WATCHDOG_DAG)[1] == "success"

    (sent,) = world.posted("digest")
    digest = sent["digest"]
    assert digest["day"] == day
    assert [digest[count] for count in ("runs", "failed_runs", "labelled", "rejected")] == [2, 1, 1, 1]
    assert digest["cost_usd"] == pytest.approx(sum(report["model"]["cost_usd"] for report in reports), abs=1e-3)
    assert digest["rejections"] == reports[1]["rejections"]
    assert any(line.startswith(f"Run {failed} failed: ") for line in digest["needs"])
    assert any(line.startswith("1 rejected pictures are under rejected/") for line in digest["needs"])
    _, (recipients, subject, text) = world.mails()
    assert (recipients, subject) == ([MAIL_TO], sent["subject"])
    assert "Pictures labelled: 1\nPictures rejected: 1 (1 " in text
    assert world.subjects() == [sent["subject"]]


def test_a_pool_that_does_not_exist_is_one_error_and_not_a_task_that_never_runs(
    world: SeriesWorld, picture: bytes
) -> None:
    world.s3.put_object(Bucket="poolless-source", Key="1.png", Body=picture)
    run_id, state = run(world, POOLLESS)
    assert state == "failed"
    log = world.api.log(POOLLESS, run_id, "wait_for_images", 1)
    assert "pipelines: poolless: analysis_pool: Airflow has no pool 'never_made'; create it" in log
    world.api.call("POST", "/pools", {"name": "never_made", "slots": 2})
    assert run(world, POOLLESS)[1] == "success"
    assert world.keys("poolless-source") == set()
    # The notice of the first run could not be sent: the webhook answered 500, and there was no mail server.
    log = world.api.log(POOLLESS, run_id, "write_report", 1)
    for option in ("webhook_conn_id: ", "mail_to: "):
        assert option in log
    assert f"this notice could not be sent: [label detection] Run failed: {POOLLESS}" in log
    assert [body["dag_id"] for _, body in world.down.received] == [POOLLESS]
