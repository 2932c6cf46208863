"""What the framework raises, and what is raised inside a route, as problems."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from agentflow.errors import AgentFlowError
from agentflow.suggestions import nearest_and
from agentflow.wording import quoted
from serving.api.context import raw_response
from serving.api.edge import INTERNAL
from serving.api.json_body import pointer
from serving.api.problems import Detail, Problem, ProblemError, printable, problem_of

_NOT_FOUND = 404
_NOT_ALLOWED = 405


def install(app: FastAPI) -> None:
    """Answer every error with a problem."""
    app.add_exception_handler(AgentFlowError, _deliberate)
    app.add_exception_handler(ProblemError, _problem)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _framework)
    app.add_exception_handler(Exception, _defect)


async def _deliberate(request: Request, error: Exception) -> Response:
    assert isinstance(error, AgentFlowError)  # noqa: S101 - as registered
    return raw_response(problem_of(error).reply(request.scope["request_id"]))


async def _problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, ProblemError)  # noqa: S101 - as registered
    return raw_response(error.problem.reply(request.scope["request_id"], *error.headers))


async def _defect(request: Request, error: Exception) -> Response:  # noqa: ARG001
    """Say no more than that; the framework raises the error again, and the edge logs it."""
    return raw_response(INTERNAL.reply(request.scope["request_id"]))


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - as registered
    return raw_response(invalid_parameters(error.errors()).reply(request.scope["request_id"]))


async def _framework(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - as registered
    request_id = request.scope["request_id"]
    if error.status_code == _NOT_ALLOWED:
        allow = (error.headers or {}).get("allow", (error.headers or {}).get("Allow", ""))
        if "GET" in allow.split(", "):
            allow = f"{allow}, HEAD"
        message = printable(f"{request.method} is not a method of {request.url.path}")
        problem = Problem("method_not_allowed", message, f"Use {allow}." if allow else None)
        return raw_response(problem.reply(request_id, (b"allow", allow.encode())))
    if error.status_code == _NOT_FOUND:
        paths = [getattr(route, "path", "") for route in request.app.routes]
        hint = nearest_and(request.url.path, paths, "GET /openapi.json lists every address.")
        message = printable(f"there is nothing at {request.url.path}")
        return raw_response(Problem("route_unknown", message, hint).reply(request_id))
    problem = Problem("request_invalid", printable(str(error.detail)))
    return raw_response(problem.reply(request_id))


def invalid_parameters(found: Sequence[Any]) -> Problem:
    """Return the problem of parameters that do not have the right type."""
    errors = tuple(
        Detail(
            "parameter_invalid",
            printable(f"parameter {quoted(item['loc'][-1])}: {item['msg']}"),
            parameter=printable(str(item["loc"][-1])),
        )
        if item["loc"][0] in {"query", "path"}
        else Detail("member_invalid", printable(item["msg"]), pointer=pointer(item["loc"][1:]))
        for item in found
    )
    hint = "GET /openapi.json has every parameter with its type."
    return Problem("parameter_invalid", errors[0].message, hint, errors)
