"""Airflow's Variables, and the list of their names, which Airflow gives a task from 3.3 on only."""

from __future__ import annotations

import json
import uuid
from typing import Any

from airflow.sdk import Variable as _Variable

_NAMES = "label_detection_variables"
_CANARY = "label_detection_canary"
_TRIES = 3
#: What stands in a Variable that was deleted, so that one that cannot be read is not taken for it.
_DELETED = ""


class ListedVariable:
    """
    `Variable` for Airflow 3.2, as far as the leases need it: the names are kept in a Variable of their own.

    They only become more, one for each model, so two tasks hardly ever write them at once. It is read again.
    """

    @staticmethod
    def get(key: str, default: Any = None) -> Any:
        """The value, or the default: when there is none, when it was deleted, and when Airflow cannot be asked."""
        return _Variable.get(key, default=None) or default

    @staticmethod
    def set(key: str, value: str, description: str | None = None) -> None:
        """Write a value, and remember the name first.

        :raises RuntimeError: when the name cannot be kept.
        """
        for _ in range(_TRIES):
            names = _names()
            if key in names:
                _Variable.set(key, value, description=description)
                return
            _Variable.set(_NAMES, json.dumps([*names, key]), description="The Variables that label detection has made")
        raise RuntimeError(f"the name of the variable {key} cannot be kept in {_NAMES}")

    @staticmethod
    def delete(key: str) -> None:
        """Leave it empty."""
        _Variable.set(key, _DELETED, description="Nothing now")

    @staticmethod
    def keys(prefix: str = "") -> list[str]:
        """The names of those that are there or cannot be read.

        :raises RuntimeError: when Airflow cannot be asked.
        """
        return [name for name in _names() if name.startswith(prefix) and _Variable.get(name, default=None) != _DELETED]


def _names() -> list[str]:
    found = _Variable.get(_NAMES, default=None)
    if found is None:  # none yet, or Airflow cannot be asked, which `get` does not tell
        canary = uuid.uuid4().hex
        _Variable.set(_CANARY, canary, description="Whether Variables can be read and written")
        if _Variable.get(_CANARY, default=None) != canary:
            raise RuntimeError("Airflow's API server gives no Variables now")
        found = _Variable.get(_NAMES, default="[]")
    return list(json.loads(found))


Variable: Any = _Variable if hasattr(_Variable, "keys") else ListedVariable
