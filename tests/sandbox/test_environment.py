"""The environment of the demo's processes."""

import socket
from pathlib import Path

import pytest

from sandbox.environment import airflow_environment, cleaned, free_ports


@pytest.mark.parametrize(
    "name",
    [
        "AIRFLOW_HOME",
        "AIRFLOW__CORE__EXECUTOR",
        "AIRFLOW_CONN_AWS_DEFAULT",
        "_AIRFLOW_SKIP_DB_TESTS",
        "AWS_PROFILE",
        "AWS_ENDPOINT_URL_S3",
        "PYTHONHOME",
        "PYTHONSTARTUP",
        "https_proxy",
        "HTTP_PROXY",
    ],
)
def test_a_users_own_setting_does_not_reach_the_demo(name: str) -> None:
    assert name not in cleaned({name: "mine", "PATH": "/bin"})


def test_other_variables_reach_the_demo() -> None:
    assert (
        cleaned({"PATH": "/bin", "HOME": "/home/me", "LANG": "C"}).items()
        >= {
            "PATH": "/bin",
            "HOME": "/home/me",
            "LANG": "C",
        }.items()
    )


def test_the_users_aws_files_are_not_read() -> None:
    environment = cleaned({"AWS_CONFIG_FILE": "~/.aws/config"})
    assert environment["AWS_CONFIG_FILE"] == environment["AWS_SHARED_CREDENTIALS_FILE"] == "/dev/null"


def test_free_ports_differ_and_a_taken_one_is_passed_over() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ports = free_ports(5, [port])
    assert len(set(ports)) == 5
    assert port not in ports


def test_a_wanted_port_that_is_free_is_taken() -> None:
    (port,) = free_ports(1)
    assert free_ports(2, [port])[0] == port


def test_two_worlds_share_no_keys() -> None:
    worlds = [
        airflow_environment(Path("/home"), Path("/dags"), Path("/plugins"), "sqlite://", 8080, (1, 2)) for _ in "ab"
    ]
    for name in ("CORE__FERNET_KEY", "API_AUTH__JWT_SECRET", "API__SECRET_KEY"):
        assert worlds[0][f"AIRFLOW__{name}"] != worlds[1][f"AIRFLOW__{name}"]
