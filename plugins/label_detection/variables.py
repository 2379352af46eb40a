"""Airflow's Variables, and the list of their names, which Airflow gives a task from 3.3 on only."""

from __future__ import annotations

import json
import uuid
from typing import Any

from airflow.sdk import Variable as _Variable

_NAMES = "label_detection_variables"
_CANARY = "label_detection_canary"
_TRIES = 3


class ListedVariable:
    """
    `Variable` for Airflow 3.2, as far as the leases need it: the names are kept in a Variable of their own.

    They only become more, one for each model. Two tasks that add theirs at once may lose one: so the names are read
    again after the value is written. Airflow 3.2 logs a write that failed, and takes what it cannot read for what is
    not there: so whatever is written is read again, and that something is not there is believed only between two proofs
    that Airflow answers.
    """

    @staticmethod
    def get(key: str, default: Any = None) -> Any:
        """The value, or the default when there is none. :raises RuntimeError: when Airflow cannot be asked."""
        value = _read(key)
        return default if value is None else value

    @staticmethod
    def set(key: str, value: str, description: str | None = None) -> None:
        """Write a value, and remember its name first. :raises RuntimeError: when either is not kept."""
        for _ in range(_TRIES):
            names = _names()
            if key not in names:
                _write(_NAMES, json.dumps([*names, key]), "The Variables that label detection has made")
            _write(key, value, description)
            if key in _names():
                return
        raise RuntimeError(f"the name of the variable {key} is not kept in {_NAMES}")

    @staticmethod
    def delete(key: str) -> None:
        """Delete it. :raises RuntimeError: when it is still there."""
        _Variable.delete(key)
        if _read(key) is not None:
            raise RuntimeError(f"the variable {key} cannot be deleted: see Airflow's error above")

    @staticmethod
    def keys(prefix: str = "") -> list[str]:
        """The names of those that are there. :raises RuntimeError: when Airflow cannot be asked."""
        return [name for name in _names() if name.startswith(prefix) and _read(name) is not None]


def _names() -> list[str]:
    return list(json.loads(_read(_NAMES) or "[]"))


def _read(key: str) -> str | None:
    value: str | None = _Variable.get(key, default=None)
    if value is None:
        _prove_that_airflow_answers()
        value = _Variable.get(key, default=None)
        _prove_that_airflow_answers()
    return value


def _write(key: str, value: str, description: str | None) -> None:
    _Variable.set(key, value, description=description)
    if _read(key) != value:
        raise RuntimeError(f"the variable {key} cannot be written: see Airflow's error above, or another task wrote it")


def _prove_that_airflow_answers() -> None:
    name = f"{_CANARY}.{uuid.uuid4().hex}"
    _Variable.set(name, name, description="Whether Variables can be read and written; gone in a moment")
    answers = _Variable.get(name, default=None) == name
    _Variable.delete(name)
    if not answers:
        raise RuntimeError("Airflow's API server gives no Variables now")


Variable: Any = _Variable if hasattr(_Variable, "keys") else ListedVariable
