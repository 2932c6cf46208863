"""From an address to the operation that answers it, and from its errors to problems."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from starlette.requests import Request
from starlette.responses import StreamingResponse

from agentflow.errors import AgentFlowError
from agentflow.suggestions import nearest_and
from serving.access.scopes import Scope as KeyScope
from serving.api.context import Context
from serving.api.resource import Operation
from serving.http.json_body import body_of
from serving.http.problems import Problem, ProblemError, printable, problem_of
from serving.http.replies import Receive, Reply, Scope

_READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})


class Route(NamedTuple):
    """Where a request leads.

    Attributes:
        operation: The one at that address; None when there is nothing.
        in_path: The parameters in its path.
        allowed: Whether the operation has the method of the request.
    """

    operation: Operation | None
    in_path: Mapping[str, str]
    allowed: bool

    def scope(self, method: str) -> KeyScope | None:
        """Return the scope that a request needs; what does not exist needs one too."""
        if self.operation is not None and (self.allowed or self.operation.scope is None):
            return self.operation.scope
        return KeyScope.READ if method in _READING else KeyScope.ADMIN


class Routes:
    """All operations of the API, over what they share."""

    def __init__(self, operations: Iterable[Operation], context: Context) -> None:
        self.operations = tuple(operations)
        self._context = context

    def find(self, method: str, path: str) -> Route:
        """Return where a request leads; of several, the first that has its method."""
        other: Route | None = None
        for operation in self.operations:
            in_path = operation.match(path)
            if in_path is None:
                continue
            if operation.method == method:
                return Route(operation, in_path, allowed=True)
            other = other or Route(operation, in_path, allowed=False)
        return other or Route(None, {}, allowed=False)

    async def answer(
        self, route: Route, scope: Scope, receive: Receive, body: bytes = b""
    ) -> Reply | StreamingResponse:
        """Answer a request that has passed the guard."""
        request_id: str = scope["request_id"]
        try:
            operation = self._allowed(route, scope)
            return await self._call(operation, route.in_path, Request(scope, receive), body)
        except AgentFlowError as error:
            return problem_of(error).reply(request_id)
        except ProblemError as error:
            return error.problem.reply(request_id, *error.headers)

    async def _call(
        self, operation: Operation, in_path: Mapping[str, str], request: Request, body: bytes
    ) -> Reply | StreamingResponse:
        taken = operation.parameters
        if operation.described and not operation.free and request.scope["query_string"]:
            taken.require_known(request.query_params)
        arguments = taken.read(in_path, request.query_params)
        given = {"context": self._context, "request": request}
        arguments |= {name: given[name] for name in taken.given}
        arguments |= taken.body_argument(body if taken.body is None else body_of(body, taken.body))
        return await operation.handler(**arguments)

    def _allowed(self, route: Route, scope: Scope) -> Operation:
        path: str = scope["path"]
        if route.operation is None:
            paths = [operation.path for operation in self.operations]
            hint = nearest_and(path, paths, "GET /openapi.json lists every address.")
            message = printable(f"there is nothing at {path}")
            raise ProblemError(Problem("route_unknown", message, hint))
        if not route.allowed:
            allow = "GET, HEAD" if route.operation.method == "GET" else route.operation.method
            message = printable(f"{scope['method']} is not a method of {path}")
            problem = Problem("method_not_allowed", message, f"Use {allow}.")
            raise ProblemError(problem, (b"allow", allow.encode()))
        return route.operation
