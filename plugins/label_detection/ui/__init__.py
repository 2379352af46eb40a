"""Pages inside the Airflow UI.

Every process of Airflow loads its plugins, tasks too; only the API server serves pages. So what they need is imported
with the first request.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from functools import cache
from importlib import import_module
from typing import Any

#: Where the API server has them.
PREFIX = "label-detection"
#: Where a request's scope has Airflow's own application, under which the pages are mounted.
AIRFLOW = "label_detection.airflow"

_Message = MutableMapping[str, Any]
_App = Callable[[_Message, Callable[[], Awaitable[_Message]], Callable[[_Message], Awaitable[None]]], Awaitable[None]]


async def lazy_app(
    scope: _Message, receive: Callable[[], Awaitable[_Message]], send: Callable[[_Message], Awaitable[None]]
) -> None:
    """The pages' application."""
    app = await asyncio.to_thread(_app)
    await app({**scope, AIRFLOW: scope.get("app")}, receive, send)


@cache
def _app() -> _App:
    make: Callable[[], _App] = import_module("label_detection.ui.app").make_app
    return make()
