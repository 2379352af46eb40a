"""Example objects for the embedded AWS's models, and a check of the handlers that hooks register with botocore."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import botocore.endpoint
import cv2
import numpy as np
import pytest

Show = Callable[[str, int], np.ndarray]


@pytest.fixture(autouse=True)
def _no_handler_says_false(monkeypatch: pytest.MonkeyPatch) -> None:
    """No handler may return False: botocore before 1.43 (in Airflow of MWAA) would send the call again immediately."""
    first = botocore.endpoint.first_non_none_response

    def looked_at(responses: Any) -> Any:
        assert [answer for _, answer in responses if answer is False] == []
        return first(responses)

    monkeypatch.setattr(botocore.endpoint, "first_non_none_response", looked_at)


@pytest.fixture
def show(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Show]:
    """Adds an example object of `side` pixels under a label. The test's end removes it."""
    (examples,) = tmp_path_factory.getbasetemp().glob("aws[0-9]/examples")
    shown: list[Path] = []

    def show(label: str, side: int) -> np.ndarray:
        noise = np.random.default_rng(len(label)).integers(0, 255, (40, 40, 3), dtype=np.uint8)
        thing = cv2.resize(noise, (side, side), interpolation=cv2.INTER_CUBIC)
        folder = examples / label
        folder.mkdir()
        shown.append(folder)
        cv2.imwrite(str(folder / "example.png"), thing)
        return thing.astype(np.uint8)

    yield show
    for folder in shown:
        shutil.rmtree(folder)
