"""Links from a task to the project's own pages in the Airflow UI."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from airflow.sdk import BaseOperatorLink
from airflow.sdk.configuration import conf

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey


class PicturesLink(BaseOperatorLink):
    """The page with the run's pictures and their labels."""

    name = "Labelled pictures"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:  # noqa: ARG002  # Airflow's signature
        """The page's path without a host: a worker may use another host name of the API server than the browser."""
        under = urlsplit(conf.get("api", "base_url", fallback="") or "").path.rstrip("/")
        return f"{under}/dags/{ti_key.dag_id}/runs/{quote(ti_key.run_id, safe='')}/plugin/labelled_pictures"
