"""`/` and `/page/…`: the page, as files beside the code."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Final

from agentflow.errors import NotFoundError
from agentflow.wording import quoted
from serving.api.context import text_response
from serving.api.resource import Resource
from serving.http.replies import Reply

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


resource = Resource("")


@resource.get("/", None, scope=None, described=False)
async def read_index() -> Reply:
    """A part of the page."""
    return _serve("index.html")


@resource.get("/favicon.ico", None, scope=None, described=False)
async def read_icon() -> Reply:
    """A part of the page."""
    return _serve("icon.svg")


@resource.get("/page/{name}", None, scope=None, described=False)
async def read_asset(name: str) -> Reply:
    """A part of the page."""
    return _serve(name)


@cache
def _assets() -> dict[str, Path]:
    directory = Path(str(files("serving"))) / "page"
    if not directory.is_dir():
        return {}
    return {path.name: path for path in directory.iterdir() if path.suffix in _MEDIA}


def _serve(name: str) -> Reply:
    path = _assets().get(name)
    if path is None:
        raise NotFoundError(f"page asset {quoted(name)} does not exist", hint="The page is at /.")
    return text_response(path.read_bytes(), _MEDIA[path.suffix], _POLICY, _NO_CACHE)
