"""The texts that the demo prints."""

import io
from dataclasses import replace

import pytest
from rich.console import Console

from demo.aftermath import Aftermath, Depth
from demo.live import Moment, show
from demo.outcome import Find, Judgement, PictureOutcome, Verdict
from demo.photographs import Box, Truth
from demo.pictures import Picture, Refusal
from demo.verdict import tell
from sandbox.airflow_api import TaskInstance

TASK = TaskInstance("plan_run", -1, None, "running", 1, None, None, 1.2, "host", 1)
MAPPED = replace(TASK, task_id="analyse_images", map_index=0, rendered_map_index="7 labelled")
MOMENT = Moment((TASK, MAPPED), 1, 4, 3, Depth(2, 1), "RUNNING", 12.3)
PICTURE = Picture("[red]<b>\x1b[2J.png", b"", "image/png", (Truth("cup", Box(0, 0, 1, 1)),))
BAD = Picture("bad.png", b"", "image/png", refusal=Refusal.FORMAT)
MODEL = {"on_seconds": 90.0, "detects": 4, "status": "STOPPED", "says": "STOPPED", "arn": "arn:aws:rekognition:x"}
AFTER = Aftermath({}, (), Depth(0, 0), None, MODEL, "success", None)
ENDPOINT = {**MODEL, "arn": "arn:aws:sagemaker:x", "says": None}
LOOKOUT = {**MODEL, "arn": "arn:aws:lookoutvision:x", "says": "TRAINED"}


def test_without_a_terminal_each_change_is_printed_once() -> None:
    file = io.StringIO()
    with show(Console(file=file, width=100)) as display:
        display.draw([MOMENT])
        display.draw([MOMENT])
        display.draw([replace(MOMENT, tasks=(replace(TASK, state="success"), MAPPED))])
    told = [line.split("s  ", 1)[1] for line in file.getvalue().splitlines()]
    assert told == [
        "plan_run: running",
        "analyse_images[0]: running",
        "model: RUNNING",
        "pictures: 1 of 4",
        "plan_run: success",
    ]
    assert "\x1b" not in file.getvalue()


def test_a_terminal_sees_tasks_pictures_queue_and_model() -> None:
    file = io.StringIO()
    with show(Console(file=file, width=100, force_terminal=True)) as display:
        display.draw([MOMENT])
    for words in ("plan_run", "7 labelled", "1 of 4", "2 waiting", "1 in flight", "RUNNING", "12 s"):
        assert words in file.getvalue()


TWO = [
    replace(MOMENT, pipeline="parts"),
    replace(MOMENT, pipeline="surfaces", tasks=(TASK,), model="STOPPED (TRAINED)"),
]


def test_changes_of_two_pipelines_are_printed_with_their_names() -> None:
    file = io.StringIO()
    with show(Console(file=file, width=100)) as display:
        display.draw(TWO)
        display.draw([TWO[0], replace(TWO[1], done=2)])
    told = [line.split("s  ", 1)[1] for line in file.getvalue().splitlines()]
    assert told == [
        "parts plan_run: running",
        "parts analyse_images[0]: running",
        "parts model: RUNNING",
        "parts pictures: 1 of 4",
        "surfaces plan_run: running",
        "surfaces model: STOPPED (TRAINED)",
        "surfaces pictures: 1 of 4",
        "surfaces pictures: 2 of 4",
    ]


def test_a_terminal_sees_two_pipelines_side_by_side() -> None:
    file = io.StringIO()
    with show(Console(file=file, width=100, force_terminal=True, color_system=None)) as display:
        display.draw(TWO)
    lines = [line for line in file.getvalue().splitlines() if "plan_run" in line]
    assert lines[-1].count("running") == 2
    for words in ("parts", "surfaces", "analyse_images[0]", "STOPPED (TRAINED)"):
        assert words in file.getvalue()


@pytest.fixture
def verdict() -> Verdict:
    good = PictureOutcome(PICTURE, "x-0123456789.png", (Find("cup", 97.12, 0.8765),), None, ())
    bad = PictureOutcome(BAD, "rejected/bad-0123456789.png", (), str(Refusal.FORMAT), ())
    return Verdict((good, bad), ())


def page(verdict: Verdict, after: Aftermath = AFTER) -> str:
    file = io.StringIO()
    tell(Console(file=file, width=200), verdict, after)
    return file.getvalue()


def test_the_last_page_has_label_confidence_iou_rejection_and_cost(verdict: Verdict) -> None:
    text = page(verdict)
    for words in ("cup", "97.1 %", "0.88", "InvalidImageFormatException", "rejected/bad-0123456789.png"):
        assert words in text
    assert "on for 90 s" in text
    assert "0.100 USD at 4.00 USD" in text
    assert "All is well: 1 pictures labelled, 1 rejected" in text


def test_a_key_is_printed_without_control_sequences(verdict: Verdict) -> None:
    assert "[red]<b>?[2J.png" in page(verdict)


def test_each_problem_is_listed_and_the_verdict_is_bad(verdict: Verdict) -> None:
    text = page(replace(verdict, problems=("first thing", "second thing")))
    assert "2 problems:" in text
    assert "first thing" in text
    assert "second thing" in text
    assert "All is well" not in text


def test_a_lost_picture_and_a_missed_object_are_shown(verdict: Verdict) -> None:
    good, bad = verdict.rows
    lost = replace(good, final_key=None, finds=(), problems=("lost",))
    missed = replace(good, finds=())
    text = page(Verdict((lost, missed, bad), ()))
    assert "no document" in text
    assert "cup missed" in text


def test_the_page_shows_how_well_the_boxes_match(verdict: Verdict) -> None:
    empty = PictureOutcome(Picture("empty.png", b"", "image/png"), "empty-0123456789.png", (), None, ())
    seen = replace(empty, finds=(Find("cup", 80.0, None),))
    told = page(Verdict((*verdict.rows, empty, seen), ()))
    assert "1 of 1 objects with an IoU over 0.5, the lowest 0.88; no label in 1 of 2 pictures without objects." in told


def test_an_endpoint_is_priced_by_instances_and_shown_as_deleted(verdict: Verdict) -> None:
    told = page(verdict, replace(AFTER, model=ENDPOINT))
    assert "The endpoint was on for 90 s with 1 instance(s)" in told
    assert "0.0029 USD at 0.115 USD per instance-hour. The endpoint is deleted now." in told
    assert "and the endpoint is deleted." in told


def test_a_picture_that_a_container_cannot_read_is_explained(verdict: Verdict) -> None:
    good, bad = verdict.rows
    broken = Verdict((good, replace(bad, error=str(Refusal.MODEL))), ())
    told = page(broken, replace(AFTER, model=ENDPOINT, report={"images": {"failed": 4}, "model": {"units": 1}}))
    assert "is returned to the queue (here 4 times) until its delivery number max_receives" in told
    assert "is returned to the queue" not in page(verdict, replace(AFTER, model=ENDPOINT))


def test_with_an_anomaly_model_each_picture_is_normal_or_anomalous() -> None:
    defect = Truth("defect", Box(0, 0, 1, 1))
    normal = PictureOutcome(
        Picture("fine.png", b"", "image/png", anomalous=False), "f.png", (), None, (), Judgement(False, 99.5)
    )
    spoiled = PictureOutcome(
        Picture("blot.png", b"", "image/png", (defect,), anomalous=True),
        "b.png",
        (Find("defect", 88.0, 0.91),),
        None,
        (),
        Judgement(True, 88.0),
    )
    other = replace(
        spoiled,
        picture=replace(spoiled.picture, key="other.png", truths=(), where_known=False),
        finds=(Find("defect", 88.0, None),),
    )
    overlooked = replace(spoiled, finds=(), judgement=Judgement(False, 60.0), problems=("wrong",))
    told = page(Verdict((normal, spoiled, other, overlooked), ()), replace(AFTER, model=LOOKOUT))
    lines = {line.split()[0]: line.split() for line in told.splitlines() if ".png" in line}
    assert lines["fine.png"] == ["fine.png", "normal", "99.5", "%", "ok"]
    assert lines["other.png"] == ["other.png", "anomalous", "88.0", "%", "defect", "not", "known", "ok"]
    assert lines["blot.png"] == ["blot.png", "normal", "60.0", "%", "defect", "missed", "wrong"]
    assert "Judged rightly: 3 of 4 pictures, 1 normal and 2 anomalous. Boxes: 1 of 2 defects" in told
    assert "1 inference unit(s)" in told
    assert "The model is STOPPED now." in told
