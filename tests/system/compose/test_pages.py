"""The pages behind Airflow's FAB auth manager, which keeps users, roles and permissions in a database."""

from __future__ import annotations

import requests

from tests.system.compose.conftest import Compose
from tests.system.pipeline import DAG_ID, Pipeline


def test_only_users_who_may_read_the_runs_see_their_pictures(
    compose: Compose, pipeline: Pipeline, picture: bytes
) -> None:
    pipeline.exactly_once()
    pipeline.upload(3, picture)
    run_id = pipeline.trigger()
    assert pipeline.finish(run_id) == "success"
    add_user(compose, "guest", "Public")
    add_user(compose, "watcher", "Viewer")
    images = ask(compose, f"runs/{DAG_ID}/images", run_id, "watcher").json()["images"]
    assert [image["outcome"] for image in images] == ["labelled"] * 3
    found = ask(compose, f"runs/{DAG_ID}/picture", run_id, "watcher", image=images[0]["id"])
    assert found.content.startswith(picture)
    for path in ("", "/images", "/image", "/summary", "/report", "/picture"):
        answers = [
            ask(compose, f"runs/{DAG_ID}{path}", run_id, user, image=images[0]["id"]).status_code
            for user in (None, "guest", "watcher")
        ]
        assert answers == [401, 403, 200], path


def add_user(compose: Compose, name: str, role: str) -> None:
    """Add a user whose password is the user's name."""
    names = {"username": name, "first_name": name, "last_name": name, "email": f"{name}@example.com"}
    body = names | {"password": name, "roles": [{"name": role}]}
    answer = requests.post(f"{compose.url}/auth/fab/v1/users", json=body, headers=login(compose), timeout=30)
    answer.raise_for_status()


def ask(compose: Compose, path: str, run_id: str, user: str | None, **params: str) -> requests.Response:
    """The answer to a user; None: without login."""
    token = {"_token": compose.api.token(user, user)} if user else {}
    params = {"run_id": run_id, **params}
    return requests.get(f"{compose.url}/label-detection/{path}", params=params, cookies=token, timeout=30)


def login(compose: Compose) -> dict[str, str]:
    """Log in as the first user."""
    return {"Authorization": f"Bearer {compose.api.token('admin', compose.password)}"}
