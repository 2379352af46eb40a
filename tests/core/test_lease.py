"""The lease: which run holds the model, and until when."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from label_detection_core.model.lease import LEASE_PREFIX, Lease, lease_name, lease_until

ARN = "arn:aws:rekognition:eu-west-1:123456789012:project/parts/version/parts.2026/1690000000000"
NOW = datetime(2026, 11, 22, 6, tzinfo=UTC)


def lease(dag_id: str = "label_detection", minutes: float = 60) -> Lease:
    return Lease(model_arn=ARN, dag_id=dag_id, run_id="r1", since=NOW, until=NOW + timedelta(minutes=minutes), units=1)


def test_a_lease_is_read_as_it_was_written() -> None:
    assert Lease.model_validate_json(lease().model_dump_json()) == lease()


@pytest.mark.parametrize(
    ("holder", "minutes", "held"),
    [
        pytest.param("another", 60, True, id="another DAG's"),
        pytest.param("another", 0, False, id="another DAG's, expired"),
        pytest.param("label_detection", 60, False, id="an earlier run of the same DAG"),
    ],
)
def test_a_model_is_held_against_other_dags_only(holder: str, minutes: float, held: bool) -> None:
    assert lease(holder, minutes).held_against("label_detection", NOW) is held


def test_a_lease_lasts_until_the_deadline_plus_the_time_that_a_run_needs_to_end() -> None:
    assert lease_until(NOW, max_model_minutes=60, grace_minutes=15) == NOW + timedelta(minutes=75)


@pytest.mark.parametrize(("minutes", "expired"), [(1, False), (0, True), (-1, True)], ids=["not yet", "now", "over"])
def test_a_lease_has_expired_from_its_last_moment_on(minutes: float, expired: bool) -> None:
    assert lease(minutes=minutes).has_expired(NOW) is expired


def test_a_lease_of_an_older_version_is_read_with_the_defaults_of_that_version() -> None:
    old = lease().model_dump(mode="json", include={"model_arn", "dag_id", "run_id", "since", "until", "units"})
    read = Lease.model_validate(old)
    assert not read.start_asked
    assert (read.aws_conn_id, read.sns_topic_arn, read.dead_man_switch) == ("aws_default", None, False)


def test_each_model_has_a_lease_of_its_own_under_a_plain_name() -> None:
    names = {lease_name(ARN), lease_name(ARN.replace("version/parts.2026", "version/parts.2027"))}
    assert len(names) == 2
    assert all(name.replace(".", "").replace("_", "").replace("-", "").isalnum() for name in names)


@pytest.mark.parametrize(
    ("one", "another"),
    [
        pytest.param("eu-west-1:123456789012", "us-east-1:123456789012", id="a model in another Region"),
        pytest.param("eu-west-1:123456789012", "eu-west-1:210987654321", id="a model of another account"),
    ],
)
def test_models_of_one_name_have_leases_of_their_own(one: str, another: str) -> None:
    assert lease_name(f"arn:aws:sagemaker:{one}:endpoint-config/parts") != lease_name(
        f"arn:aws:sagemaker:{another}:endpoint-config/parts"
    )


def test_a_lease_belongs_to_a_run_by_dag_id_and_run_id() -> None:
    assert lease().is_of("label_detection", "r1")
    assert not lease().is_of("another", "r1")
    assert not lease().is_of("label_detection", "r2")


@pytest.mark.parametrize("length", [1, 90, 255])
def test_airflow_accepts_a_leases_name_for_any_length_of_the_models_name(length: int) -> None:
    arn = f"arn:aws:rekognition:eu-west-1:123456789012:project/{'p' * length}/version/{'v' * length}"
    names = {lease_name(f"{arn}/{number}") for number in (1690000000000, 1690000000001)}
    assert len(names) == 2
    assert all(name.startswith(LEASE_PREFIX) and len(name) <= 250 for name in names), "a Variable's key is limited"
