"""`/` and `/page/…`: the page, as files beside the code."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Final

from fastapi import APIRouter
from starlette.responses import Response

from agentflow.errors import NotFoundError
from agentflow.wording import quoted
from serving.api.context import text_response

_MEDIA: Final = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_POLICY: Final = (
    b"content-security-policy",
    (
        b"default-src 'self'; img-src 'self' data:; style-src 'self'; object-src 'none'; "
        b"base-uri 'none'; frame-ancestors 'none'; form-action 'self'"
    ),
)
_NO_CACHE: Final = (b"cache-control", b"no-cache")


def router() -> APIRouter:
    """Return the routes. The files are listed once: a path cannot lead anywhere else."""
    routes = APIRouter()
    found = _assets()

    @routes.get("/", include_in_schema=False)
    async def read_index() -> Response:
        return _serve(found, "index.html")

    @routes.get("/favicon.ico", include_in_schema=False)
    async def read_icon() -> Response:
        return _serve(found, "icon.svg")

    @routes.get("/page/{name}", include_in_schema=False)
    async def read_asset(name: str) -> Response:
        return _serve(found, name)

    return routes


def _assets() -> dict[str, Path]:
    directory = Path(str(files("serving"))) / "page"
    if not directory.is_dir():
        return {}
    return {path.name: path for path in directory.iterdir() if path.suffix in _MEDIA}


def _serve(found: dict[str, Path], name: str) -> Response:
    path = found.get(name)
    if path is None:
        raise NotFoundError(f"page asset {quoted(name)} does not exist", hint="The page is at /.")
    return text_response(path.read_bytes(), _MEDIA[path.suffix], _POLICY, _NO_CACHE)
