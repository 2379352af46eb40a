"""The page about notices names all events, and the fields of what a webhook gets."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, get_args

import pytest

from label_detection_core.run.digest import Digest
from label_detection_core.run.notices import Event, NoticeDocument

PAGE = (Path(__file__).parents[2] / "docs" / "notifications.md").read_text()
EXAMPLES: list[dict[str, Any]] = [json.loads(text) for text in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)]


def test_the_page_lists_all_events() -> None:
    (line,) = re.findall(r"^`event` is (.*?)\. ", PAGE, re.MULTILINE | re.DOTALL)
    assert sorted(re.findall(r"`(\w+)`", line)) == sorted(get_args(Event))


@pytest.mark.parametrize(("number", "model"), [(0, NoticeDocument), (1, Digest)], ids=["a notice", "a digest"])
def test_an_example_has_all_fields_and_is_valid(number: int, model: type[NoticeDocument | Digest]) -> None:
    assert EXAMPLES[number].keys() == {field.alias or name for name, field in model.model_fields.items()}
    model.model_validate(EXAMPLES[number])
