"""Parallel runs on a real scheduler with the wheel; DAG files come from folders and a Git repository."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pytest
import requests

from tests.install import astro
from tests.install.airflows import Airflow
from tests.install.shared_airflow import SharedAirflow

PICTURES = 5
TEAMS = ["section", "team_a", "team_b", "repository"]
each_team = pytest.mark.parametrize("team", TEAMS)


@dataclass(frozen=True)
class Ran:
    """The ended runs. By team: id and state; and task states of the Astro project's DAG and of the operators' DAG."""

    world: SharedAirflow
    run_ids: Mapping[str, str]
    states: Mapping[str, str]
    theirs: str
    own_state: str


@pytest.fixture(scope="module")
def ran(airflow: Airflow, tmp_path_factory: pytest.TempPathFactory, picture: bytes) -> Iterator[Ran]:
    """One Airflow for all tests in this file, after parallel runs of each team's DAG."""
    with SharedAirflow(tmp_path_factory.mktemp("shared"), airflow) as world:
        for team in [*world.teams.values(), world.own_dag]:
            world.upload(team, PICTURES, picture)
            world.api.wait_for_dag(team.dag_id, check=world.check)
        world.control("queues", "DELETE")  # makes GetQueueAttributes report the current counts
        world.api.wait_for_dag(astro.THEIR_DAG, check=world.check)
        theirs = world.api.trigger(astro.THEIR_DAG)
        own_id = world.api.trigger(world.own_dag.dag_id, conf=world.own_dag.options)
        run_ids = {name: world.api.trigger(team.dag_id) for name, team in world.teams.items()}
        states = {
            name: world.api.wait_for_run(world.teams[name].dag_id, run_id, 240, world.check)
            for name, run_id in run_ids.items()
        }
        own_state = world.api.wait_for_run(world.own_dag.dag_id, own_id, 240, world.check)
        yield Ran(world, run_ids, states, world.api.wait_for_run(astro.THEIR_DAG, theirs, 60, world.check), own_state)


def test_airflow_has_each_teams_dags_and_no_import_errors(ran: Ran) -> None:
    dags = {dag["dag_id"]: dag["bundle_name"] for dag in ran.world.api.call("GET", "/dags", limit=100)["dags"]}
    assert ran.world.api.import_errors() == {}
    assert set(dags) == {astro.THEIR_DAG, ran.world.own_dag.dag_id}.union(
        *(team.dag_ids for team in ran.world.teams.values())
    )
    from_git = {dag_id for dag_id, bundle in dags.items() if bundle == "repository"}
    assert from_git == ran.world.teams["repository"].dag_ids


@each_team
def test_a_run_labels_the_pictures_of_its_team(ran: Ran, team: str) -> None:
    its = ran.world.teams[team]
    assert ran.states[team] == "success"
    report = ran.world.report(its, ran.run_ids[team])
    assert (report["run"]["dag_id"], report["images"]["labelled"]) == (its.dag_id, PICTURES)
    assert ran.world.keys(its.options["source_bucket"]) == []
    finals = ran.world.keys(its.options["final_bucket"])
    assert len(finals) == 2 * PICTURES
    assert all(key.startswith(f"{its.dag_id}/") for key in finals)


@each_team
def test_a_run_stops_the_model_of_its_team(ran: Ran, team: str) -> None:
    history = [change["status"] for change in ran.world.model(ran.world.teams[team].model)["history"]]
    assert history[-4:] == ["STARTING", "RUNNING", "STOPPING", "STOPPED"]
    assert history.count("STARTING") == 1


def test_a_users_own_dag_labels_with_the_operators_only(ran: Ran) -> None:
    world, own = ran.world, ran.world.own_dag
    assert ran.own_state == "success"
    finals = world.keys(own.options["final_bucket"])
    assert len(finals) == 2 * PICTURES
    assert world.keys(own.options["source_bucket"]) == []
    history = [change["status"] for change in world.model(own.model)["history"]]
    assert history[-4:] == ["STARTING", "RUNNING", "STOPPING", "STOPPED"]


def test_the_watchdog_of_a_prefix_stops_what_its_team_left_on(ran: Ran) -> None:
    world, team = ran.world, ran.world.teams["team_a"]
    world.leave_on(team)
    run_id = world.api.trigger(team.watchdog_dag_id)
    assert world.api.wait_for_run(team.watchdog_dag_id, run_id, 120, world.check) == "success"
    assert world.model(team.model)["status"] == "STOPPED"


def test_a_dag_of_the_astro_project_runs_beside_them(ran: Ran) -> None:
    assert ran.theirs == "success"


def test_the_pages_are_served(ran: Ran) -> None:
    headers = {"Authorization": f"Bearer {ran.world.api.token()}"}
    answer = requests.get(f"{ran.world.url}/label-detection/overview", headers=headers, timeout=30)
    assert (answer.status_code, "Label detection" in answer.text) == (200, True)
