"""The pages of label detection in Airflow's own UI, as an Airflow plugin."""

from __future__ import annotations

from airflow.plugins_manager import AirflowPlugin

from label_detection.ui import PREFIX, lazy_app

#: That all DAGs of label detection have.
TAG = "label-detection"


class LabelDetectionPages(AirflowPlugin):
    """A tab of each DAG run with its pictures, and a page in the navigation with the runs over time."""

    name = "label_detection_pages"
    fastapi_apps = [{"app": lazy_app, "url_prefix": f"/{PREFIX}", "name": "Label detection"}]  # noqa: RUF012  # Airflow's
    external_views = [  # noqa: RUF012  # Airflow's
        {
            "name": "Labelled pictures",
            "href": f"{PREFIX}/runs/{{DAG_ID}}?run_id={{RUN_ID}}",
            "destination": "dag_run",
            "url_route": "labelled_pictures",
            # From 3.4 on Airflow shows the tab on these DAGs alone; before, it lets the key pass and shows it on all.
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
