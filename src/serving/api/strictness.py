"""Query parameters that do not exist are refused, everywhere: a typo must not change an answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from starlette.requests import Request

from agentflow.wording import quoted
from serving.api.operation import FREE_PARAMETERS
from serving.api.problems import Detail, Problem, ProblemError, printable, unknown_parameters

Known = Mapping[tuple[str, str], frozenset[str]]


def known_parameters(document: Mapping[str, Any]) -> Known:
    """Return the query parameters of each operation of an OpenAPI document.

    Operations whose parameters depend on the contracts are left out: they check their own.
    """
    return {
        (method.upper(), path): frozenset(
            item["name"] for item in operation.get("parameters", ()) if item["in"] == "query"
        )
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
        if not operation.get(FREE_PARAMETERS)
    }


def strict_parameters(known: Callable[[], Known]) -> Callable[[Request], None]:
    """Return the dependency that refuses what the reference does not list."""

    def refuse(request: Request) -> None:
        if not request.scope["query_string"]:
            return
        path = getattr(request.scope.get("route"), "path", "")
        allowed = known().get((request.method, path))
        if allowed is None:
            return
        given = [name for name, _ in request.query_params.multi_items()]
        if unknown := [name for name in dict.fromkeys(given) if name not in allowed]:
            raise ProblemError(unknown_parameters(unknown, allowed))
        if twice := [name for name in dict.fromkeys(given) if given.count(name) > 1]:
            raise ProblemError(_twice(twice[0]))

    return refuse


def _twice(name: str) -> Problem:
    message = printable(f"parameter {quoted(name)} is given twice")
    where = Detail("parameter_invalid", message, parameter=name, hint="Give each parameter once.")
    return Problem("parameter_invalid", message, where.hint, (where,))
