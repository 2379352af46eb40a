"""The backfill's DAG: started manually, a dry run by default, one chunk after the other."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from airflow.serialization.serialized_objects import DagSerialization

from label_detection_core.backfill.backfill import BackfillOptions

if TYPE_CHECKING:
    from airflow.dag_processing.dagbag import DagBag
    from airflow.sdk import DAG


@pytest.fixture
def dag(bag: DagBag) -> DAG:
    """The backfill."""
    return bag.dags["label_detection_backfill"]


@pytest.fixture
def stored(dag: DAG) -> Any:
    """The DAG as the API and the scheduler read it."""
    return DagSerialization.from_dict(json.loads(json.dumps(DagSerialization.to_dict(dag))))


def test_the_backfill_runs_only_when_started_manually(dag: DAG) -> None:
    assert dag.schedule is None


def test_the_untouched_form_is_a_dry_run_over_the_whole_bucket(dag: DAG) -> None:
    values = dict(dag.params.validate())
    assert values == {"prefix": "", "dry_run": True, "older_than_minutes": 60}
    assert BackfillOptions.of(values) == BackfillOptions()


def test_the_form_describes_each_param(dag: DAG) -> None:
    for name in BackfillOptions.model_fields:
        param = dag.params.get_param(name)
        assert param.schema["title"]
        assert param.description
        assert "`" not in param.description, "the form shows descriptions as plain text"


def test_its_page_describes_its_own_params_and_not_the_pipelines_options(dag: DAG) -> None:
    page = dag.doc_md or ""
    missing = [
        name
        for name in BackfillOptions.model_fields
        if f"**{dag.params.get_param(name).schema['title']}** (`{name}`)" not in page
    ]
    assert not missing
    assert "| `queue_url` |" not in page


@pytest.mark.parametrize(
    "params",
    [
        {"prefix": "line 3/", "dry_run": False, "older_than_minutes": 0},
        {"prefix": None, "older_than_minutes": None},
        {"older_than_minutes": 0.5},
    ],
    ids=str,
)
def test_a_param_that_the_form_accepts_is_accepted_by_the_run(stored: Any, params: dict[str, Any]) -> None:
    assert BackfillOptions.of(stored.params.deep_merge(params).validate())


@pytest.mark.parametrize(
    "params",
    [{"prefix": 3}, {"dry_run": "no"}, {"dry_run": None}, {"older_than_minutes": -1}, {"older_than_minutes": "1"}],
    ids=str,
)
def test_a_param_that_the_run_would_refuse_is_refused_by_the_backfills_form(
    stored: Any, params: dict[str, Any]
) -> None:
    with pytest.raises(Exception, match="Invalid input for param"):
        stored.params.deep_merge(params).validate()


def test_the_chunks_are_sent_one_after_the_other_and_named_by_their_content(stored: Any) -> None:
    enqueue = stored.get_task("enqueue_images")
    assert enqueue.is_mapped
    assert enqueue.upstream_task_ids == {"plan_backfill"}
    assert enqueue.max_active_tis_per_dagrun == 1, "chunks sent at once would mix old and young pictures"
    assert enqueue.map_index_template == "{{ images | default('enqueueing') }}"
