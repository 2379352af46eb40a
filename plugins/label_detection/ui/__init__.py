"""Pages inside the Airflow UI.

Every Airflow process loads the plugins, task processes too, but only the API server serves pages. So the modules of the
pages are imported with the first request.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from functools import cache
from importlib import import_module
from typing import Any

#: Path of the pages on the API server.
PREFIX = "label-detection"
#: Key in the scope of a request. Its value is Airflow's own ASGI application, under which the pages are mounted.
AIRFLOW = "label_detection.airflow"

_Message = MutableMapping[str, Any]
_App = Callable[[_Message, Callable[[], Awaitable[_Message]], Callable[[_Message], Awaitable[None]]], Awaitable[None]]


async def lazy_app(
    scope: _Message, receive: Callable[[], Awaitable[_Message]], send: Callable[[_Message], Awaitable[None]]
) -> None:
    """ASGI application of the pages. The first request imports the modules behind it."""
    app = await asyncio.to_thread(_app)
    await app({**scope, AIRFLOW: scope.get("app")}, receive, send)


@cache
def _app() -> _App:
    make: Callable[[], _App] = import_module("label_detection.ui.app").make_app
    return make()
