"""Path and query parameters: what a handler's signature takes, read, checked and described."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping
from functools import cached_property
from types import UnionType
from typing import Annotated, Any, Final, Union, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, ValidationError, create_model
from pydantic_core import PydanticCustomError
from starlette.datastructures import QueryParams

from agentflow.spelling import BOOLEAN_HINT, INT64_MAX, integer_hint, read_boolean, read_integer
from agentflow.wording import quoted
from serving.http.json_body import Body, NoBody
from serving.http.problems import Detail, Problem, ProblemError, printable, unknown_parameters

_GIVEN: Final = frozenset({"context", "request"})
_HINT: Final = "GET /openapi.json has every parameter with its type."
_MOST_SHOWN: Final = 80


class Parameters:
    """What one handler takes. Its signature is read when it is first needed.

    Args:
        handler: What is called with them.
        in_path: The names of those in the path; all others are in the query.
    """

    def __init__(self, handler: Callable[..., Awaitable[object]], in_path: Collection[str]) -> None:
        self._handler = handler
        self._in_path = in_path

    @cached_property
    def _signature(self) -> Mapping[str, inspect.Parameter]:
        return inspect.signature(self._handler, eval_str=True).parameters

    @cached_property
    def given(self) -> frozenset[str]:
        """Which of `context` and `request` it takes."""
        return _GIVEN & self._signature.keys()

    @cached_property
    def body(self) -> type[Body] | None:
        """The shape of its request body, if it has one."""
        name = self._body_name
        kind = None if name is None else self._signature[name].annotation
        return kind if isinstance(kind, type) and issubclass(kind, Body) else None

    @property
    def described_body(self) -> type[Body] | None:
        """The shape of its request body as the reference shows it."""
        return None if self.body is NoBody else self.body

    @cached_property
    def _body_name(self) -> str | None:
        return next((name for name in ("body", "_body") if name in self._signature), None)

    @cached_property
    def _model(self) -> type[BaseModel]:
        """The parameters as one model, those of the path first."""
        names = [name for name in self._signature if name not in _GIVEN | {self._body_name}]
        names.sort(key=lambda name: name not in self._in_path)
        fields: dict[str, Any] = {
            name: (
                _spelled(taken.annotation),
                ... if taken.default is taken.empty else taken.default,
            )
            for name in names
            for taken in [self._signature[name]]
        }
        return create_model("Parameters", **fields)

    @cached_property
    def in_query(self) -> frozenset[str]:
        """The names of those in the query, as callers write them."""
        return frozenset(
            held.alias or name
            for name, held in self._model.model_fields.items()
            if name not in self._in_path
        )

    def read(self, in_path: Mapping[str, str], query: QueryParams) -> dict[str, Any]:
        """Return the arguments of the handler.

        Raises:
            ProblemError: One is missing or has the wrong type; all are named.
        """
        if not self._model.model_fields:
            return {}
        try:
            return dict(self._model.model_validate({**query, **in_path}))
        except ValidationError as error:
            raise ProblemError(self._invalid(error)) from None

    def _invalid(self, error: ValidationError) -> Problem:
        schemas = schema_of(self._model)["properties"]
        errors = tuple(
            Detail(
                "parameter_invalid",
                printable(f"parameter {quoted(item['loc'][0])}: {item['msg']}"),
                parameter=printable(str(item["loc"][0])),
                hint=_hint(schemas[str(item["loc"][0])], item["input"]),
            )
            for item in error.errors(include_url=False, include_context=False)
        )
        return Problem("parameter_invalid", errors[0].message, errors[0].hint, errors)

    def require_known(self, query: QueryParams) -> None:
        """Refuse parameters that do not exist: a typo must not change an answer.

        Raises:
            ProblemError: One does not exist, or is given twice.
        """
        given = [name for name, _ in query.multi_items()]
        if unknown := [name for name in dict.fromkeys(given) if name not in self.in_query]:
            raise ProblemError(unknown_parameters(unknown, self.in_query))
        if twice := [name for name in dict.fromkeys(given) if given.count(name) > 1]:
            raise ProblemError(_twice(twice[0]))

    def body_argument(self, value: object) -> dict[str, object]:
        """Return the argument that is the request body."""
        return {} if self._body_name is None else {self._body_name: value}

    def described(self) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """Return them as OpenAPI lists them, and the schemas they refer to."""
        schema = schema_of(self._model)
        required = schema.get("required", ())
        described = []
        for name, each in schema.get("properties", {}).items():
            where = "path" if name in self._in_path else "query"
            each.setdefault("title", name.replace("_", " ").title())
            described.append(
                {"name": name, "in": where, "required": name in required, "schema": each}
            )
        return described, schema.get("$defs", {})


def schema_of(model: type[BaseModel]) -> dict[str, Any]:
    """Return the JSON schema of a model; what may be left out says so without a null default."""
    schema: dict[str, Any] = model.model_json_schema()
    for each in (schema, *schema.get("$defs", {}).values()):
        for member in each.get("properties", {}).values():
            if member.get("default", ...) is None:
                del member["default"]
    return schema


def _spelled(annotation: object) -> object:
    """Return the type of a parameter, whose integers and booleans have one spelling each."""
    read = next((_READ[kind] for kind in _kinds(annotation) if kind in _READ), None)
    return annotation if read is None else Annotated[annotation, BeforeValidator(read)]


def _kinds(annotation: object) -> Iterator[object]:
    """Yield the plain types that a parameter may have."""
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from _kinds(get_args(annotation)[0])
    elif origin in {Union, UnionType}:
        for each in get_args(annotation):
            yield from _kinds(each)
    else:
        yield annotation


def _integer(text: str) -> int:
    try:
        return read_integer(text)
    except ValueError:
        raise _misspelt(text, "a whole number") from None


def _boolean(text: str) -> bool:
    try:
        return read_boolean(text)
    except ValueError:
        raise _misspelt(text, "a boolean") from None


def _misspelt(text: str, kind: str) -> PydanticCustomError:
    shown = quoted(text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}…")
    return PydanticCustomError("misspelt", "{shown} is not {kind}", {"shown": shown, "kind": kind})


_READ: Final[Mapping[object, Callable[[str], object]]] = {int: _integer, bool: _boolean}


def _hint(schema: Mapping[str, Any], given: object) -> str:
    """Return what a parameter with that schema would have taken."""
    for each in schema.get("anyOf", [schema]):
        if each.get("type") == "integer":
            least, most = each.get("minimum", -INT64_MAX - 1), each.get("maximum", INT64_MAX)
            return integer_hint(str(given), least=least, most=most)
        if each.get("type") == "boolean":
            return BOOLEAN_HINT
        if "enum" in each:
            return f"Pass one of {', '.join(each['enum'])}."
    return _HINT


def _twice(name: str) -> Problem:
    message = printable(f"parameter {quoted(name)} is given twice")
    where = Detail("parameter_invalid", message, parameter=name, hint="Give each parameter once.")
    return Problem("parameter_invalid", message, where.hint, (where,))
