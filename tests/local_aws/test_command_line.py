"""``python -m local_aws``: help, errors, the env file, the end."""

import re
import signal
import socket
import subprocess
import time
from pathlib import Path

import boto3
import pytest
import requests

from tests.local_aws.conftest import ROOT, Aws, command, running

OPTIONS = (
    "--host --port --region --examples --model --answers --start-seconds --stop-seconds --rate --latency "
    "--source-bucket --final-bucket --queue --max-receive-count --project --model-version --more-models "
    "--models-only --pictures-endpoint --oddities --seed --count-age --short-poll-share --duplicate-share --conditions "
    "--ready-lag --describe-lag --unreadable-buckets --env-file --log-requests"
)


def run(*options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*options), cwd=ROOT, capture_output=True, text=True, timeout=30)


def test_help_explains_every_option() -> None:
    result = run("--help")
    assert result.returncode == 0
    described = re.findall(r"^  (--[a-z-]+)(?: [A-Z_]+)?\s+[A-Za-z]", result.stdout, re.MULTILINE)
    assert sorted(described) == sorted(OPTIONS.split())


@pytest.mark.parametrize(
    ("options", "named"),
    [
        pytest.param(["--rate", "fast"], "--rate", id="not a number"),
        pytest.param(["--latency", "-1"], "--latency", id="a negative number"),
        pytest.param(["--start-seconds", "nan"], "--start-seconds", id="nan"),
        pytest.param(["--port", "70000"], "--port", id="no such port"),
        pytest.param(["--region", "mars-1"], "--region", id="no such Region"),
        pytest.param(["--source-bucket", "Not_A_Bucket"], "--source-bucket", id="no bucket name"),
        pytest.param(["--source-bucket", "one", "--final-bucket", "one"], "--final-bucket", id="one bucket for both"),
        pytest.param(["--max-receive-count", "0"], "--max-receive-count", id="no receives"),
        pytest.param(["--more-models", "-1"], "--more-models", id="a negative number of models"),
        pytest.param(["--model", "bedrock"], "--model", id="no such service"),
        pytest.param(["--answers", "xml"], "--answers", id="no such format"),
        pytest.param(["--model-version", "lookoutvision"], "--model-version", id="name of another model"),
        pytest.param(["--pictures-endpoint", "here"], "--pictures-endpoint", id="no URL"),
        pytest.param(["--oddities", "some"], "--oddities", id="no such preset"),
        pytest.param(["--seed", "-1"], "--seed", id="no seed"),
        pytest.param(["--count-age", "5-999"], "--count-age", id="older than it remembers"),
        pytest.param(["--count-age", "1-2-3"], "--count-age", id="three ages"),
        pytest.param(["--short-poll-share", "1.5"], "--short-poll-share", id="more than all"),
        pytest.param(["--duplicate-share", "often"], "--duplicate-share", id="no share"),
        pytest.param(["--conditions", "maybe"], "--conditions", id="no such mode"),
        pytest.param(["--ready-lag", "-1"], "--ready-lag", id="ready too early"),
        pytest.param(["--speed", "9"], "--speed", id="no such option"),
    ],
)
def test_a_wrong_option_is_one_line_that_names_it(options: list[str], named: str) -> None:
    result = run(*options)
    assert result.returncode == 2
    assert len(result.stderr.splitlines()) == 1
    assert named in result.stderr


def test_a_port_in_use_ends_the_server_with_an_error() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        result = run("--port", str(taken.getsockname()[1]))
    assert result.returncode == 1
    assert "in use" in result.stderr
    assert "Traceback" not in result.stderr


def test_the_env_file_is_all_that_boto3_needs(shared_aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in shared_aws.env.items():
        monkeypatch.setenv(name, value)
    assert {bucket["Name"] for bucket in boto3.client("s3").list_buckets()["Buckets"]} >= {
        shared_aws.source,
        shared_aws.final,
    }
    url = boto3.client("sqs").get_queue_url(QueueName="label-detection")["QueueUrl"]
    assert url == shared_aws.queue_url


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_a_signal_ends_it_at_once_with_status_0_even_in_a_long_poll(tmp_path: Path, number: int) -> None:
    with running(tmp_path, "--region", "eu-west-1", "--queue", "parts") as aws:
        assert aws.env["AWS_DEFAULT_REGION"] == "eu-west-1"
        printed = (tmp_path / "aws.log").read_text()
        assert all(f"{name}={value}\n" in printed for name, value in aws.env.items())
        with socket.create_connection(("127.0.0.1", int(aws.endpoint.rpartition(":")[2]))) as poll:
            body = b'{"QueueUrl": "parts", "WaitTimeSeconds": 20}'
            poll.sendall(
                b"POST / HTTP/1.1\r\nHost: x\r\nX-Amz-Target: AmazonSQS.ReceiveMessage\r\n"
                b"Content-Type: application/x-amz-json-1.0\r\nContent-Length: %d\r\n"
                b"Authorization: AWS4-HMAC-SHA256 Credential=a/20260101/eu-west-1/sqs/aws4_request\r\n\r\n%s"
                % (len(body), body)
            )
            poll.settimeout(0.5)
            with pytest.raises(TimeoutError):
                poll.recv(1)
            began = time.monotonic()
            aws.process.send_signal(number)
            assert aws.process.wait(30) == 0
            assert time.monotonic() - began < 10, "it must not wait for the end of the poll, 20 seconds"


SAGEMAKER = "arn:aws:sagemaker:us-east-1:123456789012:endpoint-config/label-detection-"


@pytest.mark.parametrize(
    ("options", "arn", "classes"),
    [
        pytest.param(["--model", "sagemaker"], f"{SAGEMAKER}object-detection", "cat,cup,face,photographer", id="boxes"),
        pytest.param(
            ["--model", "sagemaker", "--answers", "huggingface"],
            f"{SAGEMAKER}huggingface",
            "cat,cup,face,photographer",
            id="Hugging Face",
        ),
        pytest.param(
            ["--model", "lookoutvision"],
            "arn:aws:lookoutvision:us-east-1:123456789012:model/label-detection/1",
            None,
            id="Lookout for Vision",
        ),
    ],
)
def test_the_environment_names_the_model_that_is_chosen(
    tmp_path: Path, examples: Path, options: list[str], arn: str, classes: str | None
) -> None:
    with running(tmp_path, "--examples", str(examples), *options) as aws:
        assert aws.model()["arn"] == aws.model_arn == arn
        assert aws.env.get("AIRFLOW__LABEL_DETECTION__CLASS_NAMES") == classes
        assert aws.model()["kind"] == options[1]
        assert aws.model("1")["kind"] == "rekognition"


def test_requests_are_logged_only_when_asked_for(tmp_path: Path) -> None:
    for name, options in (("quiet", []), ("loud", ["--log-requests"])):
        folder = tmp_path / name
        folder.mkdir()
        with running(folder, *options) as aws:
            requests.get(f"{aws.endpoint}/_local/model", timeout=10)
        assert ("GET /_local/model" in (folder / "aws.log").read_text()) is (name == "loud")


def test_each_of_several_models_has_its_own_state(tmp_path: Path) -> None:
    with running(tmp_path, "--more-models", "2", "--model-version", "3", "--start-seconds", "0") as aws:
        rekognition = aws.client("rekognition")
        pages = {name: requests.get(f"{aws.endpoint}/_local/model/{name}", timeout=10).json() for name in "324"}
        assert pages["3"]["arn"] == aws.model_arn == aws.model()["arn"]
        assert len({page["arn"] for page in pages.values()}) == 3
        (project,) = rekognition.describe_projects()["ProjectDescriptions"]
        versions = rekognition.describe_project_versions(ProjectArn=project["ProjectArn"])["ProjectVersionDescriptions"]
        assert [version["ProjectVersionArn"] for version in versions] == [page["arn"] for page in pages.values()]
        rekognition.start_project_version(ProjectVersionArn=pages["4"]["arn"], MinInferenceUnits=1)
        requests.put(f"{aws.endpoint}/_local/model/2", json={"status": "FAILED"}, timeout=10)
        found = [requests.get(f"{aws.endpoint}/_local/model/{name}", timeout=10).json() for name in "324"]
        assert [page["status"] for page in found] == ["TRAINING_COMPLETED", "FAILED", "RUNNING"]
        assert requests.get(f"{aws.endpoint}/_local/model/5", timeout=10).status_code == 404
