"""Objects and buckets with the oddities of S3: a refused object delays no other, and nothing is lost."""

from __future__ import annotations

import json
import threading

import pytest
from airflow.sdk.exceptions import AirflowFailException

from label_detection_core.labelling.keys import document_key, final_key
from label_detection_core.queue.messages import ImageRef
from sandbox.waiting import wait_until
from tests.conftest import OPTION, Aws
from tests.core.refusals import kept, upload_refused
from tests.system.faults.oddities.catalogue import Oddity
from tests.system.faults.oddities.results import add
from tests.system.faults.oddities.tasks import Analysed, Tasks, labelled, rejected, upload

GOOD = 10
ODD = "odd.png"
#: The pipeline's default of 5 would need a later run, because each delivery waits longer than the one before.
MAX_RECEIVES = 3
REFUSED = [
    pytest.param(Oddity.DENIED, "another account's", id="denied", marks=pytest.mark.gate),
    pytest.param(Oddity.SSE_C, "SSE-C", id="SSE-C"),
    pytest.param(Oddity.ARCHIVED, "archived", id="archived"),
    pytest.param(Oddity.KMS_DISABLED, "a disabled key", id="KMS key disabled"),
    pytest.param(Oddity.KMS_DENIED, "a denied key", id="KMS key denied"),
]


@pytest.mark.parametrize(("oddity", "kind"), REFUSED)
def test_all_others_are_labelled_in_the_first_run_and_the_refused_one_stays(
    tasks: Tasks, picture: bytes, monkeypatch: pytest.MonkeyPatch, oddity: Oddity, kind: str
) -> None:
    monkeypatch.setenv(f"{OPTION}MAX_RECEIVES", str(MAX_RECEIVES))
    upload_refused(tasks.aws, kind, ODD, picture)
    keys = upload(tasks.aws, GOOD, picture)
    found = tasks.plan_and_analyse()
    done, messages = labelled(tasks.aws, keys), kept(tasks.aws)
    add(
        oddity,
        f"first run, `max_receives` {MAX_RECEIVES}: {done} of {GOOD} labelled, {found.count('unreadable')} unreadable "
        f"after {MAX_RECEIVES} deliveries, {found.on_for_the_rest:.0f} s after the others; the message is kept under "
        "`rejected/messages/`",
    )
    assert (done, found.error, found.count("unreadable")) == (GOOD, "", 1)
    assert found.count("failed") == MAX_RECEIVES - 1
    assert tasks.aws.source_keys() == [ODD]
    (message,) = messages
    assert ODD in message["error"]["message"]
    assert (rejected(tasks.aws), tasks.aws.depth()) == (1, (0, 0))


@pytest.mark.parametrize(
    ("oddity", "conditions"),
    [
        pytest.param(Oddity.CONDITIONS_REFUSED, "refused", id="refused"),
        pytest.param(Oddity.CONDITIONS_IGNORED, "ignored", id="ignored", marks=pytest.mark.gate),
    ],
)
def test_without_conditional_requests_no_image_has_the_labels_of_another(
    tasks: Tasks, picture: bytes, oddity: Oddity, conditions: str
) -> None:
    """Overwrites one image before it is read, and one during its copy."""
    aws = tasks.aws
    aws.control("oddities", "PUT", {"conditions": conditions})
    keys = upload(aws, GOOD, picture)
    aws.upload("early.png", picture + b"first")
    early = aws.upload("early.png", picture + b"second")
    late, first = overwrite_during_the_copy(tasks, picture)
    ignored = first.count("ignored") + tasks.plan_and_analyse().count("ignored")
    done = labelled(aws, [*keys, "early.png", "late.png"])
    add(
        oddity,
        f"{done} of {GOOD + 2} labelled, two of them overwritten during the run; "
        f"{ignored} events of overwritten versions ignored; {len(tasks.warnings())} warnings in the report",
    )
    assert (done, aws.source_keys(), aws.depth()) == (GOOD + 2, [], (0, 0))
    assert [etag_of(aws, "early.png", early), etag_of(aws, "late.png", late)] == [early, late]
    assert len(aws.final_keys()) == 2 * (GOOD + 2)
    assert any("copy" in warning or "delete" in warning for warning in tasks.warnings())


def overwrite_during_the_copy(tasks: Tasks, picture: bytes) -> tuple[str, Analysed]:
    """Start a task, and overwrite its image while the copy is delayed; return the new eTag, and the task's result."""
    aws = tasks.aws
    aws.upload("late.png", picture + b"first")
    aws.fail("s3", "CopyObject", key="late", times=1, delay=2, status=503)
    ended: list[Analysed] = []
    thread = threading.Thread(target=lambda: ended.append(tasks.plan_and_analyse()))
    thread.start()
    wait_until(lambda: not aws.control("faults"), 60, "the copy", every=0.05)
    etag = aws.upload("late.png", picture + b"second")
    thread.join(120)
    (found,) = ended
    assert found.error == ""
    return etag, found


def etag_of(aws: Aws, key: str, etag: str) -> str:
    """The eTag of the version that the labels belong to, by the document and by the copy's bytes."""
    final = final_key(ImageRef(aws.settings.source_bucket, key, etag))
    found: str = json.loads(aws.read(document_key(final)))["source"]["etag"]
    copy = aws.s3.head_object(Bucket=aws.settings.final_bucket, Key=final)["ETag"].strip('"')
    assert copy == found
    return found


def test_a_copy_keeps_its_storage_class(tasks: Tasks, picture: bytes) -> None:
    tasks.aws.upload("a.png", picture, StorageClass="STANDARD_IA")
    tasks.plan_and_analyse()
    bucket = tasks.aws.settings.final_bucket
    (copy,) = (key for key in tasks.aws.final_keys() if key.endswith(".png"))
    found = tasks.aws.s3.head_object(Bucket=bucket, Key=copy).get("StorageClass", "STANDARD")
    add(Oddity.STORAGE_CLASS, f"an original in STANDARD_IA: its copy is in {found}")
    assert found == "STANDARD_IA"


@pytest.mark.gate
def test_a_directory_bucket_is_refused_before_anything_is_started(
    tasks: Tasks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"{OPTION}SOURCE_BUCKET", "parts--use1-az4--x-s3")
    assert "S3 Express" in refused_plan(tasks)
    add(Oddity.EXPRESS, "`plan_run` fails; the model is not started")


@pytest.mark.gate
def test_a_bucket_in_another_region_is_refused_before_anything_is_started(
    tasks: Tasks, picture: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"{tasks.aws.settings.source_bucket}-eu"
    tasks.aws.s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    monkeypatch.setenv(f"{OPTION}SOURCE_BUCKET", name)
    upload(tasks.aws, 30, picture)
    line = refused_plan(tasks)
    assert "is in eu-west-1, the model in us-east-1" in line
    left = sum(tasks.aws.depth())
    add(Oddity.OTHER_REGION, f"`plan_run` fails and names both Regions; {left} of 30 messages are still on the queue")
    assert left == 30


def refused_plan(tasks: Tasks) -> str:
    """The error of `plan_run`. Checks that nothing was started."""
    with pytest.raises(AirflowFailException) as failure:
        tasks.plan()
    assert tasks.aws.model()["status"] == "TRAINING_COMPLETED"
    return str(failure.value)
