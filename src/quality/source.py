"""Python source of what one contract demands of an event whose shape already fits.

The text is generated, so that an event costs one call and not one per field and check. The function
answers None at the first doubt; `quality.examine` then says what is wrong.
"""

from __future__ import annotations

from collections.abc import Iterator

from agentflow.contracts import EventContract, FieldContract
from agentflow.contracts.scope import attribute_of, declared_scope
from agentflow.expressions import Node, Scope, infer, parse_scalar
from agentflow.expressions.nodes import (
    Arithmetic,
    Call,
    Case,
    Constant,
    FieldReference,
    IsNull,
    Membership,
    Negative,
    Not,
)
from agentflow.expressions.python import PythonEmitter
from quality.envelope import ATTRIBUTES
from quality.formats import INTEGER_DIGITS
from quality.shape import MAX_INTEGER, MIN_INTEGER, ordered_fields

_CHECKS = {
    "integer": f"{MIN_INTEGER} <= {{0}} <= {MAX_INTEGER}",
    "decimal": f"-{10**INTEGER_DIGITS} < {{0}} < {10**INTEGER_DIGITS}",
    "number": "_isfinite({0})",
}


def accept_source(contract: EventContract) -> str:
    """Return the source of `accept(raw, envelope)`."""
    return "\n".join(
        [
            "def accept(raw, envelope):",
            *_indented(_envelope_lines()),
            *_indented(_field_lines(contract)),
            *_indented(_once_lines(contract)),
            *_indented(_meaning_lines(contract)),
            *_indented(_time_lines(contract)),
            *_indented(_result_lines(contract)),
        ]
    )


def value_source(node: Node, contract: EventContract) -> str:
    """Return the source of `value(fields)`, over a mapping; None stands for null."""
    emitter = PythonEmitter(declared_scope(contract), field=lambda name: f"fields[{name!r}]")
    return f"def value(fields):\n    return {emitter.value_source(node)}"


def _indented(lines: Iterator[str]) -> Iterator[str]:
    return (f"    {line}" for line in lines)


def _envelope_lines() -> Iterator[str]:
    yield "data = _decode_data(envelope.data)"
    yield f"quotes = {4 * len(ATTRIBUTES) - 2} - 4 * _astuple(envelope).count(None)"
    yield "event_id = envelope.id"
    yield "if event_id is None: return None"
    yield "source = envelope.source or _UNKNOWN_SOURCE"
    yield "tenant = raw.tenant"
    yield "if envelope.tenant is not None and envelope.tenant != tenant: return None"
    yield "content = envelope.datacontenttype"
    yield "if content is not None and not _json_content(content): return None"


def _field_lines(contract: EventContract) -> Iterator[str]:
    for name in ordered_fields(contract):
        field = contract.fields[name]
        yield f"v_{name} = data.{attribute_of(name)}"
        lines: list[str] = []
        if field.type == "decimal":
            lines = list(_decimal_lines(name, scale=field.scale or 0))
            low = f"_min_{name} <= " if field.minimum is not None else ""
            high = f" <= _max_{name}" if field.maximum is not None else ""
            if low or high:
                lines.append(f"if not {low}v_{name}{high}: return None")
        elif field.type == "timestamp":
            lines = [f"v_{name} = _instant_us(v_{name})", f"if v_{name} is None: return None"]
        elif field.type == "date":
            lines = [f"if not _iso_date(v_{name}): return None"]
        elif field.pattern is not None and not field.enum:
            lines = [f"if _pattern_{name}(v_{name}) is None: return None"]
        if lines and not field.required:
            yield f"if v_{name} is not None:"
            yield from _indented(iter(lines))
        else:
            yield from lines


def _once_lines(contract: EventContract) -> Iterator[str]:
    """Count the quotes that the members account for; more are there if one is repeated.

    Two for each member and two for each text. What `null` says explicitly is a doubt as well.
    """
    sure = sum(_quotes(field) for field in contract.fields.values() if field.required)
    if sure:
        yield f"quotes += {sure}"
    for name in ordered_fields(contract):
        field = contract.fields[name]
        if not field.required:
            yield f"if v_{name} is not None: quotes += {_quotes(field)}"
    yield "if envelope.dataversion.__class__ is int: quotes -= 2"
    yield "if quotes != raw.value.count(_QUOTE) and _surplus(raw.value, quotes): return None"


def _quotes(field: FieldContract) -> int:
    return 2 if field.type in {"integer", "number", "boolean"} else 4


def _decimal_lines(name: str, *, scale: int) -> Iterator[str]:
    """Read text; a JSON number is read again from its digits, never through a float."""
    value = f"v_{name}"
    yield f"if {value}.__class__ is not str:"
    yield f"    {value} = _digits(envelope.data, {name!r})"
    yield "    quotes -= 2"
    yield f"if _canonical_{scale}({value}) is not None: {value} = _Decimal({value})"
    yield "else:"
    yield f"    {value} = _decimal_{scale}({value})"
    yield f"    if {value} is None: return None"


def _meaning_lines(contract: EventContract) -> Iterator[str]:
    yield "warnings = _WARNINGS"
    lines = [*_rule_lines(contract), *_derived_lines(contract)]
    if not computes_decimals(contract):
        yield from lines
        return
    # The thread's own context may round; this one never does.
    yield "context = _getcontext()"
    yield "_setcontext(_EXACT)"
    yield "try:"
    yield from _indented(iter(lines))
    yield "finally:"
    yield "    _setcontext(context)"


def _emitter(scope: Scope) -> PythonEmitter:
    return PythonEmitter(scope, field=lambda name: f"v_{name}")


def _rule_lines(contract: EventContract) -> Iterator[str]:
    scope = declared_scope(contract)
    for number, rule in enumerate(contract.rules):
        source = _emitter(scope).value_source(parse_scalar(rule.check))
        effect = f"warnings += _rule_{number}" if rule.on_fail == "warn" else "return None"
        yield f"if {source} is False: {effect}"


def _derived_lines(contract: EventContract) -> Iterator[str]:
    scope = declared_scope(contract)
    for name, text in contract.derived.items():
        node = parse_scalar(text)
        kind = infer(node, scope)
        yield f"x_{name} = {_emitter(scope).value_source(node)}"
        lines: list[str] = []
        if kind.kind == "decimal":
            lines.append(f"x_{name} = _scaled(x_{name}, {kind.scale})")
        if kind.kind in _CHECKS and not isinstance(node, FieldReference | Constant):
            lines.append(f"if not {_CHECKS[kind.kind].format(f'x_{name}')}: return None")
        if lines and kind.nullable:
            yield f"if x_{name} is not None:"
            yield from _indented(iter(lines))
        else:
            yield from lines


def _time_lines(contract: EventContract) -> Iterator[str]:
    yield "received_us = raw.received_us"
    yield "if envelope.time is None: occurred_us = received_us"
    yield "else:"
    yield "    occurred_us = _instant_us(envelope.time)"
    yield "    if occurred_us is None: return None"
    if contract.event_time is not None:
        value = f"v_{contract.event_time}"
        yield f"if {value} is not None: occurred_us = {value}"
    yield "if not -_ACCEPT_US <= occurred_us - received_us <= _AHEAD_US:"
    yield "    if not raw.of_any_age or occurred_us > received_us: return None"


def _result_lines(contract: EventContract) -> Iterator[str]:
    declared = [f"v_{name}" for name in ordered_fields(contract)]
    derived = [f"x_{name}" for name in contract.derived]
    yield "identity = _identity_prefix(tenant, source).copy()"
    yield "identity.update(event_id.encode())"
    yield "event = _Event("
    yield "    event_id, source, _TYPE, _VERSION, tenant, occurred_us, received_us,"
    yield f"    _Data({', '.join([*declared, *derived])}),"
    yield "    envelope.subject, envelope.correlationid,"
    yield ")"
    yield f"return _Accepted(event, identity.digest(), {_key_source(contract)}, warnings)"


def _key_source(contract: EventContract) -> str:
    if contract.key is None:
        return "None"
    value = f"v_{contract.key}"
    text = value if contract.fields[contract.key].type in {"string", "date"} else f"str({value})"
    if contract.fields[contract.key].required:
        return f"{text}.encode()"
    return f"(None if {value} is None else {text}.encode())"


def computes_decimals(contract: EventContract) -> bool:
    """Tell whether a rule or a derived field calculates with decimals."""
    texts = [rule.check for rule in contract.rules] + list(contract.derived.values())
    scope = declared_scope(contract)
    return any(_calculates(parse_scalar(text), scope) for text in texts)


def _calculates(node: Node, scope: Scope) -> bool:
    return any(
        isinstance(part, Arithmetic | Negative | Call) and infer(part, scope).kind == "decimal"
        for part in _parts(node)
    )


def _parts(node: Node) -> Iterator[Node]:
    yield node
    match node:
        case Constant() | FieldReference():
            return
        case Negative() | Not() | IsNull() | Membership():
            children: tuple[Node, ...] = (node.operand,)
        case Case():
            pairs = (part for branch in node.branches for part in branch)
            children = (*pairs, node.otherwise)
        case Call():
            children = node.arguments
        case _:
            children = (node.left, node.right)
    for child in children:
        yield from _parts(child)
