"""Links from a task to the project's own pages in Airflow."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from airflow.sdk import BaseOperatorLink
from airflow.sdk.configuration import conf

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey


class PicturesLink(BaseOperatorLink):
    """The run's pictures with their labels."""

    name = "Labelled pictures"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:  # noqa: ARG002  # Airflow's signature
        """Its path on the host that the browser has: a worker may know the API server by another name."""
        under = urlsplit(conf.get("api", "base_url", fallback="") or "").path.rstrip("/")
        return f"{under}/dags/{ti_key.dag_id}/runs/{quote(ti_key.run_id, safe='')}/plugin/labelled_pictures"
