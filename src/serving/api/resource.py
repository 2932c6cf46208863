"""A resource of the API is declared here: what each operation takes, answers and demands.

One declaration is read by all who need it: the guard (scope), the edge (size of a body), the routes
(address and parameters), the reference (everything).
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, TypeAlias, TypeVar

import msgspec
from starlette.responses import StreamingResponse
from starlette.routing import compile_path

from agentflow.contracts import Registry
from serving.access.scopes import Scope
from serving.api.parameters import Parameters
from serving.http.bodies import BODY_LIMIT_BYTES
from serving.http.replies import Reply

Shape: TypeAlias = type[msgspec.Struct]
Handler: TypeAlias = Callable[..., Awaitable[Reply | StreamingResponse]]
Describe: TypeAlias = Callable[[Registry], dict[str, Any]]
"""Returns the members of an OpenAPI operation that follow from the contracts in force."""
_Handler = TypeVar("_Handler", bound=Handler)
_EVERYWHERE: Final = frozenset(
    {
        "header_invalid",
        "host_refused",
        "internal",
        "origin_refused",
        "parameter_unknown",
        "uri_too_long",
    }
)
_KEYED: Final = frozenset(
    {
        "key_expired",
        "key_malformed",
        "key_missing",
        "key_revoked",
        "key_unknown",
        "rate_limited",
        "scope_missing",
        "unavailable",
    }
)
_WITH_BODY: Final = frozenset(
    {
        "too_large",
        "content_coding_invalid",
        "content_coding_unsupported",
        "idempotency_conflict",
        "idempotency_in_progress",
        "malformed_json",
    }
)


@dataclass(frozen=True)
class Operation:
    """One request that the API answers.

    Attributes:
        path: With its parameters in braces, as Starlette writes them.
        group: The heading of the reference it stands under.
        answers: The shape of each status of success; None for something that is not JSON.
        own_codes: Problems it can end in, besides those that every operation can.
        scope: What the key of a caller must allow; None when no key is needed.
        media: Media type of success.
        body_limit_bytes: How large its request body may be.
        secret: Whether its answer holds a secret: it is kept sealed for a repetition.
        tells_more: Whether it needs no key and says more to who sends one.
        bearer: Whether the key may also come as a bearer token.
        free: Whether its query parameters depend on the contracts: it checks them itself.
        described: Whether it is in the reference.
        describe: What of its description depends on the contracts.
    """

    method: str
    path: str
    group: str
    handler: Handler
    answers: Mapping[int, Shape | None]
    own_codes: tuple[str, ...] = ()
    scope: Scope | None = Scope.READ
    media: str = "application/json"
    body_limit_bytes: int = BODY_LIMIT_BYTES
    bearer: bool = False
    secret: bool = False
    tells_more: bool = False
    free: bool = False
    described: bool = True
    describe: Describe | None = None

    @property
    def summary(self) -> str:
        """What it does, in the words of its handler."""
        return (self.handler.__doc__ or "").partition("\n")[0].removesuffix(".")

    @property
    def sends(self) -> bool:
        """Whether it takes a request body."""
        return self.method == "POST"

    @cached_property
    def parameters(self) -> Parameters:
        """What its handler takes."""
        return Parameters(self.handler, self._compiled[2].keys())

    @property
    def codes(self) -> frozenset[str]:
        """Every problem it can end in."""
        return frozenset(self.own_codes).union(
            _EVERYWHERE,
            _KEYED if self.scope is not None else (),
            _WITH_BODY if self.sends else (),
            ("body_invalid",) if self.parameters.body is not None else (),
        )

    @property
    def address(self) -> str:
        """The path as OpenAPI writes it."""
        return self._compiled[1]

    def match(self, path: str) -> dict[str, str] | None:
        """Return the parameters in a path; None when it is not this one's."""
        found = self._compiled[0].match(path)
        return None if found is None else found.groupdict()

    @cached_property
    def _compiled(self) -> tuple[re.Pattern[str], str, dict[str, Any]]:
        return compile_path(self.path)


@dataclass(frozen=True, slots=True)
class Resource:
    """Operations that stand under one heading of the reference.

    A handler says by its signature what it takes: `context` and `request`; `body`, as bytes or as
    a kind of `Body`; everything else is a parameter of the path or of the query.
    """

    group: str
    operations: list[Operation] = field(default_factory=list)

    def get(
        self,
        path: str,
        shape: Shape | None,
        *codes: str,
        also: Mapping[int, Shape] | None = None,
        **policy: Any,  # noqa: ANN401 - of `Operation`, which checks it
    ) -> Callable[[_Handler], _Handler]:
        """Declare the decorated handler as the answer to a GET, by default with scope `read`."""
        return self._declare("GET", path, codes, {200: shape, **(also or {})}, policy)

    def post(
        self,
        path: str,
        shape: Shape | None,
        *codes: str,
        scope: Scope,
        also: Mapping[int, Shape] | None = None,
        **policy: Any,  # noqa: ANN401 - of `Operation`, which checks it
    ) -> Callable[[_Handler], _Handler]:
        """Declare the decorated handler as the answer to a POST."""
        answers = {200: shape, **(also or {})}
        return self._declare("POST", path, codes, answers, {"scope": scope, **policy})

    def _declare(
        self,
        method: str,
        path: str,
        codes: tuple[str, ...],
        answers: Mapping[int, Shape | None],
        policy: Mapping[str, Any],
    ) -> Callable[[_Handler], _Handler]:
        def declare(handler: _Handler) -> _Handler:
            self.operations.append(
                Operation(method, path, self.group, handler, answers, codes, **policy)
            )
            return handler

        return declare
