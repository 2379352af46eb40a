"""The client of Airflow's API, with a small HTTP server that returns prepared answers."""

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from sandbox.airflow_api import AirflowApi, ApiError, BrokenDagError


class Airflow(ThreadingHTTPServer):
    """`answers`: by method and path, the (status, body) pairs to return in turn; the last one is repeated."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers: dict[str, list[tuple[int, Any]]] = {"GET /auth/token": [(201, {"access_token": "t"})]}
        self.asked: list[str] = []

    def api(self) -> AirflowApi:
        return AirflowApi(f"http://127.0.0.1:{self.server_address[1]}")


class _Handler(BaseHTTPRequestHandler):
    server: Airflow

    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        asked = f"{self.command} {self.path.partition('?')[0]}"
        self.server.asked.append(asked)
        answers = self.server.answers[asked]
        status, body = answers.pop(0) if len(answers) > 1 else answers[0]
        if "/api/v2" in asked and "health" not in asked and self.headers.get("Authorization") != "Bearer t":
            status, body = 401, {}
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PATCH = _answer  # noqa: N815

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def airflow(monkeypatch: pytest.MonkeyPatch) -> Iterator[Airflow]:
    monkeypatch.setattr(time, "sleep", lambda _: None)
    with Airflow() as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server
        server.shutdown()


RUNS = "POST /api/v2/dags/d/dagRuns"


def test_a_token_is_fetched_when_it_is_needed(airflow: Airflow) -> None:
    airflow.answers["GET /api/v2/dags/d/dagRuns/r"] = [(200, {"state": "running"})]
    api = airflow.api()
    assert [api.run_state("d", "r"), api.run_state("d", "r")] == ["running", "running"]
    assert airflow.asked.count("GET /auth/token") == 1


def test_a_trigger_that_is_answered_500_is_tried_again(airflow: Airflow) -> None:
    airflow.answers[RUNS] = [(500, {}), (500, {}), (500, {}), (200, {})]
    assert airflow.api().trigger("d", "r") == "r"


def test_a_trigger_that_was_carried_out_though_answered_500_counts(airflow: Airflow) -> None:
    airflow.answers[RUNS] = [(200, {}), (500, {}), (409, {})]
    assert airflow.api().trigger("d", "r") == "r"


def test_a_trigger_that_fails_permanently_has_the_cause(airflow: Airflow) -> None:
    airflow.answers[RUNS] = [(500, {"detail": "locked"})]
    with pytest.raises(ApiError, match="locked"):
        airflow.api().trigger("d", "r")


def test_a_run_id_that_is_taken_is_an_error(airflow: Airflow) -> None:
    api = airflow.api()
    airflow.answers["GET /api/v2/importErrors"] = [(200, {"import_errors": []})]
    api.import_errors()
    airflow.answers[RUNS] = [(409, {})]
    with pytest.raises(ApiError, match="409"):
        api.trigger("d", "r")


def test_a_broken_dag_file_ends_the_wait_with_its_stack_trace(airflow: Airflow) -> None:
    airflow.answers["GET /api/v2/dags/d"] = [(404, {})]
    errors = {"import_errors": [{"filename": "d.py", "stack_trace": "SyntaxError: here"}]}
    airflow.answers["GET /api/v2/importErrors"] = [(200, {"import_errors": []}), (200, errors)]
    with pytest.raises(BrokenDagError, match=r"(?s)d\.py:.*SyntaxError: here"):
        airflow.api().wait_for_dag("d", timeout=5)


def test_health_of_an_airflow_that_is_not_there_is_empty() -> None:
    assert AirflowApi("http://127.0.0.1:9").health() == {}


def test_a_log_has_a_line_for_each_event_and_each_exception(airflow: Airflow) -> None:
    event = {
        "timestamp": "T",
        "level": "error",
        "event": "Task failed",
        "error_detail": [{"exc_type": "ValueError", "exc_value": "no"}],
    }
    airflow.answers["GET /api/v2/dags/d/dagRuns/r/taskInstances/t/logs/1"] = [(200, {"content": ["plain", event]})]
    assert airflow.api().log("d", "r", "t").splitlines() == ["plain", "T error Task failed", "ValueError: no"]
