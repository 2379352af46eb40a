"""The ASGI application of the pages: routes, and headers of every answer."""

from __future__ import annotations

from airflow.api_fastapi.core_api.security import get_user
from fastapi import Depends, FastAPI, HTTPException
from fastapi.responses import FileResponse, Response
from starlette.exceptions import HTTPException as StarletteHTTPException

from label_detection.ui import overview, pictures, runs
from label_detection.ui.policy import PolicyMiddleware
from label_detection.ui.request_limit import AT_ONCE, RequestLimitMiddleware
from label_detection.ui.responses import ASSETS, words

_TYPES = {".css": "text/css", ".js": "text/javascript"}


def make_app() -> FastAPI:
    """The application. Every route needs an Airflow login; a route of a DAG also needs permission to read its runs."""
    app = FastAPI(title="Label detection", docs_url=None, redoc_url=None, openapi_url=None)
    app.include_router(runs.router)
    app.include_router(pictures.router)
    app.include_router(overview.router)
    app.add_api_route("/assets/{name}", _asset, dependencies=[Depends(get_user)], include_in_schema=False)
    app.add_exception_handler(StarletteHTTPException, words)  # type: ignore[arg-type]  # Starlette's type is too wide
    app.add_middleware(PolicyMiddleware)
    app.add_middleware(RequestLimitMiddleware, most=AT_ONCE)
    return app


def _asset(name: str) -> Response:
    path = _FILES.get(name)
    if path is None:
        raise HTTPException(404, f"The pages have no file {name!r}.")
    return FileResponse(path, media_type=_TYPES[path.suffix], headers={"Cache-Control": "private, no-cache"})


_FILES = {path.name: path for path in ASSETS.iterdir() if path.suffix in _TYPES}
