"""The one place where JSON bodies are read: no member is ignored, and none counts twice."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from agentflow.suggestions import nearest_and
from agentflow.wording import counted, quoted
from quality.fields import escaped
from quality.repetition import repeated_anywhere
from serving.http.problems import Detail, Problem, ProblemError, printable

_Schema = Mapping[str, Any]
_HINT: Final = "Send one JSON object."
_LONG: Final = 10**12
_KINDS: Final = {
    "string": "text",
    "integer": "a whole number",
    "boolean": "true or false",
    "null": "null",
    "array": "a list",
    "object": "an object",
    "number": "a number",
}
_SIZED: Final[Mapping[type, tuple[str, str]]] = {
    str: ("a text", "character"),
    list: ("a list", "item"),
    dict: ("an object", "member"),
}


class Body(BaseModel):
    """Base of request bodies: unknown members, NaN and infinity are refused."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, strict=True)


class NoBody(Body):
    """What is sent where a request says everything by its address."""


_B = TypeVar("_B", bound=Body)


def body_of(sent: bytes, model: type[_B]) -> _B:
    """Read the JSON body of a request.

    Raises:
        ProblemError: It is not JSON, has a member twice, or is not of that shape; it lists
            everything wrong.
    """
    raw = sent or b"{}"
    try:
        if (place := repeated_anywhere(raw)) is not None:
            raise ProblemError(repeated(place))
        return model.model_validate_json(raw)
    except ValidationError as error:
        raise ProblemError(invalid_body(error, model)) from None


def repeated(place: str) -> Problem:
    """Return the problem of a body that has the member at *place* more than once."""
    message = printable(f"the body has {quoted(place)} more than once")
    where = Detail("member_repeated", message, pointer=printable(place), hint="Send it once.")
    return Problem("body_invalid", message, where.hint, (where,))


def invalid_body(error: ValidationError, model: type[Body]) -> Problem:
    """Return the problem of a body that is not of its shape, or not JSON at all."""
    found = error.errors(include_url=False, include_context=False)
    if any(item["type"] == "json_invalid" for item in found):
        return Problem("malformed_json", printable(found[0]["msg"]), _HINT)
    shape = model.model_json_schema()
    found.sort(key=lambda item: item["type"] != "extra_forbidden")  # a typo explains the rest
    errors: dict[str | None, Detail] = {}
    for item in found:
        detail = _detail(shape, item["loc"], item["type"], item["input"])
        errors.setdefault(detail.pointer, detail)
    first, *_ = errors.values()
    return Problem("body_invalid", first.message, first.hint, tuple(errors.values()))


def pointer(location: tuple[int | str, ...]) -> str:
    """Return a place in a document as a JSON pointer.

    >>> pointer(("items", 0, "a/b"))
    '/items/0/a~1b'
    """
    return printable("".join(f"/{escaped(str(part))}" for part in location))


def _detail(shape: _Schema, location: tuple[int | str, ...], kind: str, sent: object) -> Detail:
    """Return what is wrong at one place, in words that name what it takes."""
    schema, holder, path = _walk(shape, location)
    where = pointer(path)
    if kind == "extra_forbidden":
        known = sorted(holder.get("properties", {}))
        message = printable(f"the body has a member {quoted(where)}, which does not exist")
        listed = f"Known members: {', '.join(known)}." if known else "It takes no body."
        hint = nearest_and(str(path[-1]), known, listed)
        return Detail("member_unknown", message, pointer=where, hint=printable(hint))
    takes = _takes(schema)
    name = f"{quoted(where)}" if path else "the body"
    if kind == "missing":
        hint = f"It takes {takes}."
        return Detail("member_invalid", f"{name} is missing", pointer=where, hint=hint)
    message = printable(f"{name} takes {takes}, not {_sent(sent)}")
    return Detail("member_invalid", message, pointer=where, hint=f"Send {takes}.")


def _walk(
    shape: _Schema, location: tuple[int | str, ...]
) -> tuple[_Schema, _Schema, tuple[int | str, ...]]:
    """Return the schema at a place, the one that holds it, and the place without union tags."""
    definitions: _Schema = shape.get("$defs", {})
    schema = holder = shape
    path: list[int | str] = []
    for part in location:
        options = [_resolved(each, definitions) for each in schema.get("anyOf", (schema,))]
        if isinstance(part, int):
            inner = next((each["items"] for each in options if "items" in each), None)
        else:
            inner = next((found for each in options if (found := _member(each, part))), None)
        if inner is None and path and schema is not shape and "properties" not in schema:
            break  # the tag of one of the kinds that a value may have
        path.append(part)
        holder, schema = schema, _resolved(inner or {}, definitions)
    return schema, holder, tuple(path)


def _member(schema: _Schema, name: str) -> _Schema | None:
    known: _Schema = schema.get("properties", {})
    found: _Schema | None = known.get(name)
    others = schema.get("additionalProperties")
    return found if found is not None or not isinstance(others, dict) else others


def _resolved(schema: _Schema, definitions: _Schema) -> _Schema:
    reference = schema.get("$ref")
    return schema if reference is None else definitions[reference.rpartition("/")[2]]


def _takes(schema: _Schema) -> str:
    """Return what a member takes, in words.

    >>> _takes({"type": "integer", "minimum": 1, "maximum": 9})
    'a whole number from 1 to 9'
    """
    options = schema.get("anyOf")
    if options:
        *most, last = dict.fromkeys(_takes(each) for each in options)
        return f"{', '.join(most)} or {last}" if most else last
    words = _KINDS.get(schema.get("type", ""), "any JSON value but NaN and infinity")
    match schema:
        case {"maxLength": most}:
            return f"{words} of at most {most} characters"
        case {"maxItems": most}:
            return f"{words} of at most {most} items"
        case {"maxProperties": most}:
            return f"{words} of at most {most} members"
        case {"minimum": least, "maximum": most}:
            return f"{words} from {least} to {most}"
    return words


def _sent(value: object) -> str:
    """Return what was sent, without its text: that may be personal."""
    match value:
        case None | bool():
            return {None: "null", True: "true", False: "false"}[value]
        case int():
            return str(value) if abs(value) < _LONG else "a number of that size"
        case float():
            return "a number with a fraction, NaN or infinity"
        case str() | list() | dict():
            words, noun = _SIZED[type(value)]
            return f"{words} of {counted(len(value), noun)}"
    return "that"
