"""The fake platform as an ASGI application, with levers to make it fail."""

# ruff: noqa: ANN401, B023  # ASGI and JSON are untyped
from __future__ import annotations

import copy
import json
from collections import Counter, deque
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.staticfiles import StaticFiles

from tests.fakes.platform import FakePlatform, RefusedError

PAGE = Path(__file__).parents[2] / "src" / "serving" / "page"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'"
)


class FakeServer:
    """Routes to a `FakePlatform`, and faults.

    Attributes:
        faults: Answers to give instead, first to last: (status, code, headers).
        seen: Every request: (method, path, headers).
        cut_after: Streams end, without a good-bye, after that many events.
        end_with: What `event: end` tells instead of the cut: (status, code).
    """

    def __init__(self, platform: FakePlatform, *, api_key: str | None = None) -> None:
        self.platform = platform
        self.api_key = api_key
        self.faults: deque[tuple[int, str, dict[str, str]]] = deque()
        self.seen: list[tuple[str, str, dict[str, str]]] = []
        self.cut_after: int | None = None
        self.end_with: tuple[int, str] | None = None
        routes = [
            Route("/v1/events", self.post_events, methods=["POST"]),
            Route("/v1/dry-run", self.post_dry_run, methods=["POST"]),
            Route("/v1/batch", self.post_batch, methods=["POST"]),
            Route("/v1/metrics", self.simple(lambda _: platform.metrics())),
            Route(
                "/v1/metrics/{name}",
                self.simple(lambda r: platform.answer(r.path_params["name"], dict(r.query_params))),
            ),
            Route(
                "/v1/entity/{kind}/{key}",
                self.simple(lambda r: platform.entity(r.path_params["kind"], r.path_params["key"])),
            ),
            Route("/v1/catalog", self.simple(lambda _: platform.catalog())),
            Route("/v1/graph", self.simple(lambda _: platform.graph())),
            Route("/v1/health", self.simple(self.health)),
            Route("/v1/verify", self.simple(self.verify)),
            Route("/v1/deadletter", self.simple(self.letters)),
            Route("/v1/deadletter/replay", self.replay_all, methods=["POST"]),
            Route("/v1/deadletter/{offset:int}", self.simple(self.letter)),
            Route("/v1/deadletter/{offset:int}/{verb}", self.mend, methods=["POST"]),
            Route("/v1/stream/metrics", self.stream_metrics),
            Route("/v1/stream/events", self.stream_events),
        ]
        self.app = Starlette(routes=routes)
        if PAGE.is_dir():
            self.app.mount("/page", StaticFiles(directory=PAGE))
            self.app.add_route("/", index)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            headers = {k.decode(): v.decode() for k, v in scope["headers"]}
            self.seen.append((scope["method"], scope["path"], headers))
            refusal = self._refusal(scope["path"], headers)
            if refusal is not None:
                await refusal(scope, receive, send)
                return
        await self.app(scope, receive, send)

    def _refusal(self, path: str, headers: dict[str, str]) -> Response | None:
        if self.faults:
            status, code, more = self.faults.popleft()
            return problem(
                RefusedError(status, code, f"fault {code}"), {"x-request-id": "req-1", **more}
            )
        free = not path.startswith("/v1/") or path.startswith("/v1/health")
        if self.api_key and not free and headers.get("x-api-key") != self.api_key:
            return problem(
                RefusedError(
                    401, "unauthorized", "the API key is missing or unknown", hint="Send X-API-Key."
                )
            )
        return None

    def simple(self, make: Any) -> Any:
        async def route(request: Request) -> Response:
            try:
                return JSONResponse(make(request))
            except RefusedError as error:
                return problem(error)

        return route

    async def post_events(self, request: Request) -> Response:
        if request.headers["content-type"] == "application/x-ndjson":
            body: Any = [json.loads(line) for line in (await request.body()).splitlines()]
        else:
            body = json.loads(await request.body())
        result = await self.platform.ingest(body if isinstance(body, list) else [body])
        if not isinstance(body, list) and result["rejected"]:
            outcome = result["events"][0]
            more = {"errors": outcome["errors"], "dead_letter": outcome["dead_letter"]}
            return problem(
                RefusedError(422, "event_rejected", "the event breaks its contract", **more)
            )
        if request.query_params.get("detail") == "errors":
            result["events"] = [e for e in result["events"] if e["status"] != "accepted"]
        return JSONResponse(result, 207 if result["rejected"] else 200)

    async def post_dry_run(self, request: Request) -> Response:
        return JSONResponse(self.platform.dry_run(await request.json()))

    async def post_batch(self, request: Request) -> Response:
        body = await request.json()
        try:
            if "at_least" in body:
                self.platform.reached(body["at_least"])
        except RefusedError as error:
            return problem(error)
        answers = []
        for item in body["items"]:
            asked = {"window": item["window"]} if item.get("window") else {}
            try:
                answers.append(
                    self.platform.answer(item["metric"], asked | item.get("dimensions", {}))
                )
            except RefusedError as error:
                answers.append(error.body)
        return JSONResponse({"token": self.platform.token(), "as_of": None, "answers": answers})

    def health(self, _: Request) -> Any:
        parts = {name: {"status": "ok"} for name in ("log", "live", "lake", "control", "history")}
        lake = {"order_created": {"rows": 12, "files": 1, "snapshots": 1, "bytes": 4096}}
        return {
            "status": "ok",
            "components": parts,
            "lake": lake,
            "lag": {"events": 0, "seconds": 0.0},
        }

    def verify(self, request: Request) -> Any:
        answer = self.platform.answer("order_count", {})
        first = "cursor" not in request.query_params
        window = {
            "window": "1h" if first else "24h",
            "dimensions": {},
            "live": answer["value"],
            "recomputed": answer["value"],
            "equal": True,
            "cells": 1,
        }
        metric = {"metric": "order_count", "version": 1, "windows": [window], "equal": True}
        return {
            "verified": True,
            "checked_at": "2026-01-01T00:00:00Z",
            "token": "t0",
            "numbers": 1,
            "done": 1 if first else 2,
            "checks": 2,
            "metrics": [metric],
            "seconds": 0.1,
            "next_cursor": "second" if first else None,
        }

    def letters(self, request: Request) -> Any:
        asked = request.query_params
        found = [
            self.platform.letter(letter["offset"])
            for letter in self.platform.letters.values()
            if all(asked.get(key) in {None, letter[key]} for key in ("reason", "type", "status"))
        ]
        start, limit = int(asked.get("cursor", 0)), int(asked.get("limit", 50))
        letters = self.platform.letters.values()
        closed = {"replayed", "discarded"}
        counts = Counter(letter["reason"] for letter in letters)
        left = Counter(letter["reason"] for letter in letters if letter["status"] not in closed)
        more = str(start + limit) if start + limit < len(found) else None
        return {
            "dead_letters": found[start : start + limit],
            "next_cursor": more,
            "counts": counts,
            "open": left,
        }

    def letter(self, request: Request) -> Any:
        return self.platform.letter(request.path_params["offset"])

    async def mend(self, request: Request) -> Response:
        letter = self.platform.letters[request.path_params["offset"]]
        if request.path_params["verb"] == "discard":
            letter["status"] = "discarded"
            return JSONResponse(letter)
        body = await request.json()
        event = body.get("event", copy.deepcopy(letter["raw"]))
        for pointer, value in body.get("set", {}).items():
            *path, last = pointer.strip("/").split("/")
            target = event
            for step in path:
                target = target.setdefault(step, {})
            target[last] = value
        result = await self.platform.ingest([event])
        if result["accepted"]:
            letter["status"] = "replayed"
        outcome = result["events"][0]
        names = ("status", "id", "type", "offset", "errors")
        return JSONResponse({name: outcome[name] for name in names} | {"dead_letter": 0})

    async def replay_all(self, request: Request) -> Response:
        return JSONResponse({"replayed": 0, "accepted": 0, "rejected": 0})

    async def stream_metrics(self, request: Request) -> Response:
        asked = dict(request.query_params)
        names = [n for n in asked.pop("metric", "").split(",") if n] or [
            m["name"] for m in self.platform.metrics()["metrics"] if m["status"] == "approved"
        ]
        seen = request.headers.get("last-event-id")

        async def items() -> AsyncIterator[bytes]:
            at = int(seen) if seen else -1
            sent = 0
            yield b"retry: 20\n: hello\n\n"
            while True:
                moves = self.platform.moves
                fresh = [n for n in names if at < 0 or any(n == name for name, _ in moves[at:])]
                at = len(moves)
                for index, name in enumerate(fresh):
                    last = index == len(fresh) - 1
                    item_id = f"id: {at}\n" if last else ""
                    data = json.dumps(self.platform.answer(name, asked))
                    yield f"event: metric\n{item_id}data: {data}\n\n".encode()
                    sent += 1
                if self.cut_after is not None and sent >= self.cut_after:
                    if self.end_with is not None:
                        yield _end(*self.end_with)
                    return
                async with self.platform.news:
                    await self.platform.news.wait_for(lambda: len(self.platform.moves) > at)

        return StreamingResponse(items(), media_type="text/event-stream")

    async def stream_events(self, request: Request) -> Response:
        seen = request.headers.get("last-event-id")
        begin = 0 if request.query_params.get("from") == "start" else len(self.platform.events)
        kind = request.query_params.get("type")

        async def items() -> AsyncIterator[bytes]:
            at = int(seen) if seen else begin
            sent = 0
            yield b"retry: 20\n\n"
            while True:
                for event in self.platform.events[at:]:
                    at += 1
                    if kind in {None, event["type"]}:
                        yield f"id: {at}\nevent: event\ndata: {json.dumps(event)}\n\n".encode()
                        sent += 1
                    if self.cut_after is not None and sent >= self.cut_after:
                        return
                async with self.platform.news:
                    await self.platform.news.wait_for(lambda: len(self.platform.events) > at)

        return StreamingResponse(items(), media_type="text/event-stream")


def _end(status: int, code: str) -> bytes:
    problem = json.dumps({"type": "about:blank", "status": status, "code": code, "detail": code})
    return f"event: end\ndata: {problem}\n\n".encode()


async def index(_: Request) -> Response:
    """The page, with a policy that forbids everything it does not need."""
    return FileResponse(PAGE / "index.html", headers={"content-security-policy": POLICY})


def problem(error: RefusedError, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse(
        error.body, error.body["status"], headers, media_type="application/problem+json"
    )
