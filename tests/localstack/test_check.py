"""`make aws-check` on the buckets and the queue of a stack in LocalStack; the models alone are the embedded ones."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from label_detection_core.config.settings import environment_name
from sandbox.environment import PROJECT, PYTHONPATH, cleaned
from tests.localstack.resources import Resources
from tests.localstack.server import MODELS_URL, Aws
from tests.localstack.stack import make
from tests.system.faults.outcomes.sample_pictures import scenes

STACK = "aws-check"
STEPS = 10


def test_every_step_works_and_is_undone(localstack: Aws, tmp_path: Path) -> None:
    stack = make(localstack, STACK)
    assert stack.status() == "CREATE_COMPLETE"
    options = stack.options()
    place = Resources(localstack, options["source_bucket"], options["final_bucket"], options["queue_url"])
    (tmp_path / "options.env").write_text("".join(f"{environment_name(name)}={options[name]}\n" for name in options))
    picture = tmp_path / "a.png"
    picture.write_bytes(next(iter(scenes().values())))
    before = place.waiting()

    printed = check(localstack, tmp_path / "options.env", picture)

    lines = [line for line in printed if line[:1].isdigit()]
    assert len(lines) == STEPS, printed
    assert not [line for line in lines if "FAILED" in line]
    for bucket in (place.source_bucket, place.final_bucket):
        assert localstack.s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0
    assert place.waiting() == before
    assert localstack.control("model")["status"] == "STOPPED"


def check(aws: Aws, options: Path, picture: Path) -> list[str]:
    """The lines that it prints."""
    environment = {
        **cleaned(),
        "PYTHONPATH": f"{PYTHONPATH}:{PROJECT / 'plugins'}",
        **{name: value for name, value in aws.environment.items() if not name.startswith("AIRFLOW")},
    }
    assert MODELS_URL in environment
    command = [sys.executable, "-m", "deploy.check", "--env", str(options), "--picture", str(picture), "--yes"]
    done = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()
