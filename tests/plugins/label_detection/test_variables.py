"""Variables where Airflow lists none: 3.2."""

from __future__ import annotations

from typing import Any

import pytest

from label_detection import variables
from label_detection.variables import ListedVariable


class Airflow32:
    """`airflow.sdk.Variable` of Airflow 3.2: what it cannot read it does not have, what it cannot write it logs."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}
        self.readable = self.writable = True

    def get(self, key: str, default: Any) -> Any:
        return self.values.get(key, default) if self.readable else default

    def set(self, key: str, value: str, description: str | None = None) -> None:
        if self.writable:
            self.values[key] = value


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


def test_what_was_deleted_is_gone_until_it_is_set_again(airflow: Airflow32) -> None:
    ListedVariable.set("a", "1")
    ListedVariable.delete("a")
    assert ListedVariable.get("a") is None
    assert ListedVariable.keys() == []
    ListedVariable.set("a", "2")
    assert ListedVariable.keys() == ["a"]


def test_what_cannot_be_read_is_not_taken_for_deleted(airflow: Airflow32) -> None:
    ListedVariable.set("a", "1")
    del airflow.values["a"]
    assert ListedVariable.keys() == ["a"]


@pytest.mark.parametrize("call", ["keys", "set"])
@pytest.mark.parametrize("what", ["readable", "writable"])
def test_without_an_answer_there_is_an_error_and_no_empty_list(airflow: Airflow32, what: str, call: str) -> None:
    setattr(airflow, what, False)
    with pytest.raises(RuntimeError, match="gives no Variables now"):
        ListedVariable.keys() if call == "keys" else ListedVariable.set("a", "1")


def test_a_name_that_another_task_wrote_over_is_written_again(airflow: Airflow32) -> None:
    ListedVariable.set("a", "1")
    write, overwritten = airflow.set, []

    def set_and_lose(key: str, value: str, description: str | None = None) -> None:
        write(key, value)
        if key == "label_detection_variables" and not overwritten:
            overwritten.append(key)
            write(key, '["a", "another"]')

    airflow.set = set_and_lose  # type: ignore[method-assign]
    ListedVariable.set("b", "1")
    assert ListedVariable.keys() == ["a", "another", "b"]


def test_a_name_that_cannot_be_kept_is_an_error_and_no_lease_without_a_watchdog(airflow: Airflow32) -> None:
    ListedVariable.set("a", "1")
    airflow.writable = False
    with pytest.raises(RuntimeError, match="cannot be kept"):
        ListedVariable.set("b", "1")
