"""From a document to a contract value, or to one readable problem per line that is wrong."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Literal, TypeAlias, TypeVar, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from agentflow.contracts.model import Contract, EntityContract, EventContract, MetricContract
from agentflow.contracts.source import Document, KeyPath, SourceFile
from agentflow.contracts.tables import SourceContract
from agentflow.errors import FileProblem
from agentflow.suggestions import nearest_or_all
from agentflow.wording import quoted

Kind: TypeAlias = Literal["event", "entity", "metric", "source"]
MODELS: Mapping[Kind, type[EventContract | EntityContract | MetricContract | SourceContract]] = {
    "event": EventContract,
    "entity": EntityContract,
    "metric": MetricContract,
    "source": SourceContract,
}
_M = TypeVar("_M", bound=BaseModel)
_EXPECTED = {
    "string_type": "text",
    "int_type": "an integer",
    "int_parsing": "an integer",
    "int_from_float": "an integer",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "decimal_type": "a number",
    "decimal_parsing": "a number",
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "a mapping of keys to values",
    "model_type": "a mapping of keys to values",
    "model_attributes_type": "a mapping of keys to values",
    "none_required": "null",
}


def contract_of(document: Document, kind: Kind) -> tuple[Contract | None, tuple[FileProblem, ...]]:
    """Check a document against the shape its kind must have; None when it does not fit."""
    return checked(document, MODELS[kind], noun="contract")


def checked(
    document: Document, model: type[_M], *, noun: str
) -> tuple[_M | None, tuple[FileProblem, ...]]:
    """Check a document against a model; files beside the contracts are checked the same way."""
    if not isinstance(document.value, dict):
        problem = document.source.problem((), f"a {noun} is a mapping of keys to values")
        return None, (problem,)
    try:
        return model.model_validate_json(json.dumps(document.value), strict=True), ()
    except ValidationError as error:
        return None, _problems(error, document.source, model)


def _problems(
    error: ValidationError, source: SourceFile, model: type[BaseModel]
) -> tuple[FileProblem, ...]:
    places: dict[KeyPath, list[ErrorDetails]] = {}
    for details in error.errors(include_url=False):
        places.setdefault(_place(details, source), []).append(details)
    return tuple(_problem(place, details, source, model) for place, details in places.items())


def _place(details: ErrorDetails, source: SourceFile) -> KeyPath:
    """Return the key path in the file; pydantic appends the union member or `[key]` it tried."""
    path: KeyPath = details["loc"]
    if details["type"] == "missing":
        return path
    while path and path not in source.lines:
        path = path[:-1]
    return path


def _problem(
    path: KeyPath, details: list[ErrorDetails], source: SourceFile, model: type[BaseModel]
) -> FileProblem:
    first = details[0]
    name = _written(path)
    if first["type"] == "missing":
        return source.problem(path, f"key {quoted(name)} is missing")
    if first["type"] == "extra_forbidden":
        known = _keys(model, path[:-1])
        return source.problem(
            path, f"unknown key {quoted(name)}", nearest_or_all(str(path[-1]), known)
        )
    if first["type"] == "literal_error":
        return _not_one_of(path, first, source)
    if first["type"] == "value_error":
        return source.problem(path, f"{quoted(name)}: {first['msg'].removeprefix('Value error, ')}")
    if all(detail["type"] in _EXPECTED for detail in details):
        expected = " or ".join(dict.fromkeys(_EXPECTED[detail["type"]] for detail in details))
        message = f"{quoted(name)} must be {expected}, not {_shown(first['input'])}"
        hint = "Put it in quotes." if "text" in expected and _is_scalar(first["input"]) else None
        return source.problem(path, message, hint)
    message = (
        f"{quoted(name)}: {first['msg'][0].lower()}{first['msg'][1:]}, not {_shown(first['input'])}"
    )
    return source.problem(path, message)


def _not_one_of(path: KeyPath, details: ErrorDetails, source: SourceFile) -> FileProblem:
    known = [part.strip("'") for part in _alternatives(details)]
    message = (
        f"{quoted(_written(path))} must be {' or '.join(known)}, not {_shown(details['input'])}"
    )
    return source.problem(path, message, nearest_or_all(str(details["input"]), known))


def _alternatives(details: ErrorDetails) -> list[str]:
    expected = str(details.get("ctx", {}).get("expected", ""))
    return expected.replace(" or ", ", ").split(", ")


def _written(path: KeyPath) -> str:
    """Render a key path the way people say it.

    >>> _written(("fields", "amount", "enum", 2))
    'fields.amount.enum[2]'
    """
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".") or "file"


def _is_scalar(value: object) -> bool:
    return value is not None and not isinstance(value, dict | list)


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else f"{text[:57]}…"  # noqa: PLR2004 - a line people can read


def _keys(model: type[BaseModel], path: KeyPath) -> list[str]:
    """Return the keys a contract may have at a path, by walking the annotations of the model."""
    annotation: object = model
    for part in path:
        annotation = _step(annotation, part)
    here = _model_in(annotation)
    return list(here.model_fields) if here else []


def _step(annotation: object, part: str | int) -> object:
    if get_origin(annotation) in {dict, tuple}:
        arguments = get_args(annotation)
        return arguments[0] if get_origin(annotation) is tuple else arguments[1]
    here = _model_in(annotation)
    if here is None or part not in here.model_fields:
        return None
    return _without_wrapping(here.model_fields[str(part)].annotation)


def _without_wrapping(annotation: object) -> object:
    """Take `X` out of `Annotated[X, …]` and `X | None`."""
    if get_origin(annotation) is Annotated:
        return _without_wrapping(get_args(annotation)[0])
    arguments = [argument for argument in get_args(annotation) if argument is not type(None)]
    if type(None) in get_args(annotation) and len(arguments) == 1:
        return _without_wrapping(arguments[0])
    return annotation


def _model_in(annotation: object) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return None
