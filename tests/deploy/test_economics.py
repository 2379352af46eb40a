"""`make economics`, from a bucket."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from deploy import economics
from tests.core.test_economics import NOW, run_of

if TYPE_CHECKING:
    from tests.conftest import Aws


def test_a_bucket_s_runs_become_a_table_and_a_plot(
    aws: Aws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run_of(tmp_path / "runs", "one", NOW, 30)
    bucket = aws.settings.final_bucket
    for file in (tmp_path / "runs").rglob("*.json*"):
        aws.s3.put_object(Bucket=bucket, Key=file.relative_to(tmp_path).as_posix(), Body=file.read_bytes())
    for key in ("runs/../../outside/report.json", "runs/one/images/part.png", "runs/one/images/part.png.json"):
        aws.s3.put_object(Bucket=bucket, Key=key, Body=b"{}")
    monkeypatch.setattr(economics, "PLOT", tmp_path / "plots" / "economics.png")
    economics.main(["--bucket", bucket, "--rule", "20:60"], aws.s3)
    assert "30 pictures" in capsys.readouterr().out
    assert (tmp_path / "plots" / "economics.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("key", ["runs/../report.json", "runs//report.json", "runs/a/b/report.json", "runs/a/images/b"])
def test_no_object_is_copied_out_of_the_folder(key: str, tmp_path: Path) -> None:
    assert economics._place(key, tmp_path) is None


def test_a_bucket_that_cannot_be_read_is_one_line(aws: Aws) -> None:
    with pytest.raises(SystemExit, match=r"economics: cannot read the bucket there-is-none: .*NoSuchBucket"):
        economics.main(["--bucket", "there-is-none"], aws.s3)


@pytest.mark.parametrize("price", ["-1", "nan", "inf", "four"])
def test_a_wrong_price_is_refused(price: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        economics.main(["--price", price])
    assert "--price" in capsys.readouterr().err
