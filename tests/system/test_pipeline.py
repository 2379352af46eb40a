"""Runs on a real scheduler, with a real api-server, dag-processor and triggerer."""

from __future__ import annotations

from typing import Any

import pytest

from tests.system.pipeline import Pipeline

pytestmark = pytest.mark.system

ON = ["STARTING", "RUNNING", "STOPPING", "STOPPED"]


def test_a_normal_run_labels_what_is_there_and_stops_the_model(pipeline: Pipeline, picture: bytes) -> None:
    before = len(pipeline.model_history())
    pipeline.exactly_once()  # because the report counts deliveries
    keys = pipeline.upload(30, picture)
    pipeline.s3.put_object(Bucket=pipeline.world.setting("source_bucket"), Key="text.png", Body=b"text")
    run_id = pipeline.trigger(min_confidence=80, max_tasks=3)
    assert pipeline.finish(run_id) == "success"
    states = pipeline.states(run_id)
    assert set(states) == {
        "wait_for_images",
        "plan_run",
        "start_model",
        "wait_for_model",
        "analyse_images",
        "stop_model",
        "write_report",
    }
    assert all(state == "success" for of_task in states.values() for state in of_task)
    assert pipeline.model_history()[before:] == ON
    report = pipeline.report(run_id)
    assert report["images"] == {"labelled": 30, "rejected": 1, "ignored": 0, "failed": 0, "unreadable": 0}
    assert report["rejections"] == {"InvalidImageFormatException": 1}
    assert 0 < report["model"]["cost_usd"] < 1
    assert report["problems"] == []
    assert f"runs/{run_id}/report.html" in pipeline.keys("final_bucket")
    assert (pipeline.keys("source_bucket"), pipeline.depth()) == ([], (0, 0))
    finals = pipeline.keys("final_bucket")
    for key in keys:
        stem = key.removesuffix(".png")
        assert len([final for final in finals if final.startswith(f"{stem}-")]) == 2
    labels = pipeline.labels_in_grid(run_id)
    assert len(labels) == 2
    assert any("labelled" in str(label) for label in labels)


def test_an_empty_queue_skips_the_run_and_the_model_is_never_started(pipeline: Pipeline) -> None:
    before = pipeline.model_history()
    run_id = pipeline.trigger()
    assert pipeline.finish(run_id) == "success"
    assert {state for of_task in pipeline.states(run_id).values() for state in of_task} == {"skipped"}
    assert pipeline.model_history() == before


def test_the_wait_for_images_is_deferred_and_ends_when_one_arrives(pipeline: Pipeline, picture: bytes) -> None:
    pipeline.exactly_once()
    run_id = pipeline.trigger(wait_minutes=5)
    pipeline.wait_until(lambda: pipeline.states(run_id).get("wait_for_images") == ["deferred"])
    pipeline.upload(1, picture)
    assert pipeline.finish(run_id) == "success"
    assert pipeline.report(run_id)["images"]["labelled"] == 1


def test_a_failing_analysis_fails_the_run_and_stops_the_model(pipeline: Pipeline, picture: bytes) -> None:
    before = len(pipeline.model_history())
    pipeline.exactly_once()  # because messages are counted below
    pipeline.upload(3, picture)
    pipeline.fail("rekognition", "DetectCustomLabels", status=400, code="AccessDeniedException", message="not allowed")
    run_id = pipeline.trigger()
    assert pipeline.finish(run_id) == "failed"
    states = pipeline.states(run_id)
    assert (states["analyse_images"], states["stop_model"], states["write_report"]) == (
        ["failed"],
        ["success"],
        ["failed"],
    )
    assert pipeline.model_history()[before:] == ON
    assert "not allowed" in pipeline.log(run_id, "analyse_images", 0)
    assert "analyse_images" in pipeline.log(run_id, "write_report")
    assert (len(pipeline.keys("source_bucket")), pipeline.depth()) == (3, (3, 0))


def test_a_start_that_fails_after_it_was_accepted_fails_the_run_and_stops_the_model(
    pipeline: Pipeline, picture: bytes
) -> None:
    before = len(pipeline.model_history())
    pipeline.upload(1, picture)
    lost: dict[str, Any] = {
        "service": "rekognition",
        "operation": "StartProjectVersion",
        "status": 403,
        "code": "AccessDeniedException",
    }
    blind: dict[str, Any] = lost | {"operation": "DescribeProjectVersions"}
    pipeline.fail(**lost, when="after")
    run_id = pipeline.trigger()
    pipeline.wait_until(lambda: "STARTING" in pipeline.model_history()[before:])
    pipeline.fail(**blind)  # prevents a retry of start_model from seeing that its request was accepted
    pipeline.wait_until(lambda: pipeline.states(run_id)["start_model"] == ["failed"])
    pipeline.world.control("faults", "DELETE")
    assert pipeline.finish(run_id) == "failed"
    states = pipeline.states(run_id)
    assert (states["wait_for_model"], states["stop_model"]) == (["upstream_failed"], ["success"])
    assert pipeline.world.model()["status"] == "STOPPED"
    assert len(pipeline.keys("source_bucket")) == 1


def test_a_start_whose_answer_was_lost_is_adopted_by_the_retry(pipeline: Pipeline, picture: bytes) -> None:
    pipeline.exactly_once()
    pipeline.upload(1, picture)
    pipeline.fail("rekognition", "StartProjectVersion", status=400, code="AccessDeniedException", when="after", times=1)
    run_id = pipeline.trigger()
    assert pipeline.finish(run_id) == "success"
    assert pipeline.report(run_id)["images"]["labelled"] == 1
    assert pipeline.world.model()["status"] == "STOPPED"


def test_a_failed_stop_fails_the_run_and_is_reported_and_the_next_run_stops_the_model(
    pipeline: Pipeline, picture: bytes
) -> None:
    pipeline.upload(1, picture)
    pipeline.fail("rekognition", "StopProjectVersion", status=400, code="AccessDeniedException", message="not allowed")
    run_id = pipeline.trigger()
    assert pipeline.finish(run_id, 300) == "failed"
    states = pipeline.states(run_id)
    assert (states["analyse_images"], states["stop_model"], states["write_report"]) == (
        ["success"],
        ["failed"],
        ["failed"],
    )
    assert "MAY STILL BE RUNNING" in pipeline.log(run_id, "write_report")
    assert pipeline.report(run_id)["model"]["stopped_at"] is None
    assert pipeline.world.model()["status"] == "RUNNING"
    pipeline.world.control("faults", "DELETE")
    run_id = pipeline.trigger()  # the queue is empty
    assert pipeline.finish(run_id) == "success"
    assert pipeline.world.model()["status"] == "STOPPED"


def test_a_missing_configuration_is_the_first_tasks_error(pipeline: Pipeline) -> None:
    run_id = pipeline.trigger(min_inference_units=5)
    assert pipeline.finish(run_id) == "failed"
    states = pipeline.states(run_id)
    assert states["wait_for_images"] == ["failed"]
    assert "max_inference_units is 1, less than min_inference_units (5)" in pipeline.log(run_id, "wait_for_images")
    assert states["stop_model"] == ["upstream_failed"]


def test_a_run_marked_failed_in_the_middle_returns_its_images_and_stops_the_model(
    pipeline: Pipeline, picture: bytes
) -> None:
    pipeline.exactly_once()
    pipeline.upload(200, picture)
    detects = pipeline.world.model()["detects"]
    run_id = pipeline.trigger(max_tasks=1)
    pipeline.wait_until(lambda: pipeline.world.model()["detects"] > detects)
    pipeline.world.api.set_run_state("label_detection", run_id, "failed")
    pipeline.wait_until(lambda: pipeline.world.model()["status"] == "STOPPED")
    # The killed task lives on for some seconds, maybe longer than the stop takes; its visibility timeout is 60 s.
    pipeline.wait_until(lambda: pipeline.depth()[1] == 0, 45)
    left = len(pipeline.keys("source_bucket"))
    assert 0 < left < 200
    assert pipeline.depth() == (left, 0)
