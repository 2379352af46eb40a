"""Variables on Airflow 3.2, which cannot list them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from label_detection import variables
from label_detection.variables import ListedVariable

NAMES = "label_detection_variables"


class Airflow32:
    """`airflow.sdk.Variable` of Airflow 3.2: an unreadable value looks missing, and a failed write is only logged."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}
        self.reads: Callable[[str], bool] = lambda _: True
        self.writes: Callable[[str], bool] = lambda _: True

    def get(self, key: str, default: Any) -> Any:
        return self.values.get(key, default) if self.reads(key) else default

    def set(self, key: str, value: str, description: str | None = None) -> None:
        if self.writes(key):
            self.values[key] = value

    def delete(self, key: str) -> None:
        if self.writes(key):
            self.values.pop(key, None)


@pytest.fixture
def airflow(monkeypatch: pytest.MonkeyPatch) -> Airflow32:
    airflow = Airflow32()
    monkeypatch.setattr(variables, "_Variable", airflow)
    return airflow


def test_what_was_set_is_listed_and_read(airflow: Airflow32) -> None:
    assert ListedVariable.keys("a.") == []
    for name in ("a.1", "b.1", "a.2", "a.1"):
        ListedVariable.set(name, f"value of {name}")
    assert ListedVariable.keys("a.") == ["a.1", "a.2"]
    assert ListedVariable.get("a.2") == "value of a.2"
    assert set(airflow.values) == {"a.1", "b.1", "a.2", NAMES}, "no other Variable may be left"


@pytest.mark.parametrize("by_hand", [False, True], ids=["by us", "manually"])
def test_what_was_deleted_is_gone_until_it_is_set_again(airflow: Airflow32, by_hand: bool) -> None:
    ListedVariable.set("a", "1")
    (airflow if by_hand else ListedVariable).delete("a")
    assert ListedVariable.get("a") is None
    assert ListedVariable.keys() == []
    ListedVariable.set("a", "2")
    assert ListedVariable.keys() == ["a"]


@pytest.mark.parametrize("call", ["get", "keys", "set"])
@pytest.mark.parametrize("what", ["reads", "writes"])
def test_without_an_answer_there_is_an_error_and_no_variable_counts_as_deleted(
    airflow: Airflow32, what: str, call: str
) -> None:
    setattr(airflow, what, lambda _: False)
    calls: dict[str, Callable[[], object]] = {
        "get": lambda: ListedVariable.get("a"),
        "keys": ListedVariable.keys,
        "set": lambda: ListedVariable.set("a", "1"),
    }
    with pytest.raises(RuntimeError, match=r"neither stores nor returns Variables now|cannot be written"):
        calls[call]()


def test_a_temporary_error_does_not_count_as_a_deletion(airflow: Airflow32) -> None:
    ListedVariable.set("a", "1")
    answers = iter([True, True, False])  # reads the names, reads the value, and then is down permanently
    airflow.reads = lambda key: next(answers, False) if key in {NAMES, "a"} else False
    airflow.values["a"] = "1"
    assert ListedVariable.keys() == ["a"]
    with pytest.raises(RuntimeError, match="neither stores nor returns Variables now"):
        ListedVariable.keys()


@pytest.mark.parametrize("there", [False, True], ids=["a new one", "one that was there"])
def test_a_value_that_is_not_written_is_an_error(airflow: Airflow32, there: bool) -> None:
    if there:
        ListedVariable.set("a", "1")
    airflow.writes = lambda key: key != "a"
    with pytest.raises(RuntimeError, match="the variable a cannot be written"):
        ListedVariable.set("a", "2")


def test_a_value_that_is_not_deleted_is_an_error(airflow: Airflow32) -> None:
    ListedVariable.set("a", "1")
    airflow.writes = lambda key: key != "a"
    with pytest.raises(RuntimeError, match="the variable a cannot be deleted"):
        ListedVariable.delete("a")


def test_a_name_that_is_not_written_is_an_error_and_leaves_no_value(airflow: Airflow32) -> None:
    airflow.writes = lambda key: key != NAMES
    with pytest.raises(RuntimeError, match=f"the variable {NAMES} cannot be written"):
        ListedVariable.set("a", "1")
    assert "a" not in airflow.values


def test_a_name_that_another_task_overwrote_is_written_again(airflow: Airflow32) -> None:
    ListedVariable.set("a", "1")
    written: list[str] = []

    def lose_once(key: str) -> bool:
        if key == "b" and not written:  # between the write of the names and that of the value
            airflow.values[NAMES] = json.dumps(["a", "another"])
        written.append(key)
        return True

    airflow.writes = lose_once
    ListedVariable.set("b", "1")
    ListedVariable.set("b", "2")  # as each run does
    assert ListedVariable.keys() == ["a", "b"]


@pytest.mark.parametrize("call", range(12))
def test_two_tasks_that_add_a_name_at_once_lose_none_without_an_error(airflow: Airflow32, call: int) -> None:
    ListedVariable.set("a", "1")
    calls: list[str] = []

    def write_over(key: str) -> bool:
        """Makes another task write the list of names that it knew, at each moment in turn."""
        if len(calls) == call:
            airflow.values[NAMES] = json.dumps(["a", "another"])
        calls.append(key)
        return True

    airflow.reads = airflow.writes = write_over
    try:
        ListedVariable.set("b", "1")
    except RuntimeError:  # then Airflow retries the task
        ListedVariable.set("b", "1")
    if len(calls) > call:
        assert ListedVariable.keys("b") == ["b"]
