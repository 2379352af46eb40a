"""Airflow's Variables with a list of their names. Airflow lets a task list names from 3.3 on only."""

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
    `Variable` for Airflow 3.2, with the methods that the leases need. It stores the names in one more Variable.

    Names are only added, one per model, and never removed. Two tasks that add a name at one time may lose one of the
    two, so the names are read again after the value is written. Airflow 3.2 only logs a failed write, and treats a
    Variable that it cannot read as missing. So each written value is read again, and a Variable counts as missing only
    if Airflow has answered a test request before and after the read.
    """

    @staticmethod
    def get(key: str, default: Any = None) -> Any:
        """The value; the default when there is none. :raises RuntimeError: when Airflow does not answer."""
        value = _read(key)
        return default if value is None else value

    @staticmethod
    def set(key: str, value: str, description: str | None = None) -> None:
        """Store the name, then the value. :raises RuntimeError: when Airflow does not keep one of the two."""
        for _ in range(_TRIES):
            names = _names()
            if key not in names:
                _write(_NAMES, json.dumps([*names, key]), "Names of the Variables that label detection has created")
            _write(key, value, description)
            if key in _names():
                return
        raise RuntimeError(
            f"the name of the variable {key} could not be stored in the variable {_NAMES}: another task may write it"
        )

    @staticmethod
    def delete(key: str) -> None:
        """Delete the Variable. :raises RuntimeError: when it still exists afterwards."""
        _Variable.delete(key)
        if _read(key) is not None:
            raise RuntimeError(f"the variable {key} cannot be deleted: see Airflow's error above")

    @staticmethod
    def keys(prefix: str = "") -> list[str]:
        """Names of the existing Variables with a prefix. :raises RuntimeError: when Airflow does not answer."""
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
    _Variable.set(name, name, description="Test whether Variables can be read and written; deleted at once")
    answers = _Variable.get(name, default=None) == name
    _Variable.delete(name)
    if not answers:
        raise RuntimeError("Airflow's API server neither stores nor returns Variables now: see Airflow's error above")


#: Whether a task may list names. Without it, Airflow is 3.2, where a thread of a trigger must not ask for Variables: a
#: lock of the triggerer can then block it for ever.
LISTS_NAMES = hasattr(_Variable, "keys")
Variable: Any = _Variable if LISTS_NAMES else ListedVariable
