"""The Airflow plugin that adds the pages of label detection to the Airflow UI."""

from __future__ import annotations

from airflow.plugins_manager import AirflowPlugin

from label_detection import listener
from label_detection.ui import PREFIX, lazy_app

#: Tag of all DAGs of label detection.
TAG = "label-detection"


class LabelDetectionPages(AirflowPlugin):
    """A tab with the pictures of a DAG run, a page with the runs over time, and the pause after failed runs."""

    name = "label_detection_pages"
    fastapi_apps = [{"app": lazy_app, "url_prefix": f"/{PREFIX}", "name": "Label detection"}]  # noqa: RUF012  # Airflow's
    listeners = [listener]  # noqa: RUF012  # Airflow's
    external_views = [  # noqa: RUF012  # Airflow's
        {
            "name": "Labelled pictures",
            "href": f"{PREFIX}/runs/{{DAG_ID}}?run_id={{RUN_ID}}",
            "destination": "dag_run",
            "url_route": "labelled_pictures",
            # Airflow 3.4 and later show the tab only on DAGs with this tag. Older versions ignore this key, and show
            # the tab on all DAGs.
            "applies_to": {"dag.tags.name": [TAG]},
        },
        {
            "name": "Label detection",
            "href": f"{PREFIX}/overview",
            "destination": "nav",
            "category": "browse",
            "url_route": "label_detection",
        },
    ]
