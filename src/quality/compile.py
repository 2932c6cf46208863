"""Compiles each event contract once: structs, the accepting function, rules and derived fields."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal, getcontext, setcontext
from math import isfinite
from typing import cast

import msgspec

from agentflow.clock import MICROSECOND
from agentflow.contracts import EventContract
from agentflow.contracts.model import Rule, duration
from agentflow.contracts.scope import attribute_of, declared_scope
from agentflow.events import Event, RawEvent
from agentflow.expressions import infer, parse_scalar
from agentflow.expressions.nodes import fields_of
from agentflow.expressions.python import NAMESPACE
from agentflow.expressions.typing import ExpressionType
from agentflow.wording import quoted
from quality import codes
from quality.digest import identity_prefix
from quality.envelope import UNKNOWN_SOURCE, Envelope, decode_members, json_content
from quality.formats import (
    EXACT,
    canonical_decimal,
    canonical_form,
    decimal_reader,
    instant_us,
    iso_date,
    searcher,
)
from quality.repetition import surplus
from quality.shape import held_type, ordered_fields, wire_type
from quality.source import accept_source, value_source
from quality.verdict import Accepted, Violation

Fields = Mapping[str, object]
CompiledExpression = Callable[[Fields], object]


@dataclass(frozen=True, slots=True)
class CompiledRule:
    """A rule that can be asked alone: what it reads, and its three-valued answer."""

    rule: Rule
    reads: tuple[str, ...]
    value: CompiledExpression
    violation: Violation


@dataclass(frozen=True, slots=True)
class CompiledDerived:
    """A derived field that can be computed alone."""

    name: str
    type: ExpressionType
    reads: tuple[str, ...]
    value: CompiledExpression


@dataclass(frozen=True, slots=True)
class CompiledContract:
    """One event contract, ready to judge by.

    Attributes:
        accept: The whole judgement of an event that is right; None at the first doubt.
        warnings: What every event of this contract is warned of.
    """

    contract: EventContract
    data_type: type[msgspec.Struct]
    accept: Callable[[RawEvent, Envelope], Accepted | None]
    rules: tuple[CompiledRule, ...]
    derived: tuple[CompiledDerived, ...]
    warnings: tuple[Violation, ...]
    accept_us: int
    ahead_us: int

    def data(self, fields: Fields) -> msgspec.Struct:
        """Return the data struct of declared values (absent or None: null), derived ones added."""
        declared = [fields.get(name) for name in ordered_fields(self.contract)]
        return self.data_type(*declared, *self.derive(fields))

    def derive(self, fields: Fields) -> tuple[object, ...]:
        """Compute the derived fields, in the contract's order."""
        complete = {name: fields.get(name) for name in self.contract.fields}
        return tuple(exactly(derived.value, complete) for derived in self.derived)

    def declared(self, data: msgspec.Struct) -> dict[str, object]:
        """Return the declared values of a data struct by field name."""
        return {name: getattr(data, attribute_of(name)) for name in self.contract.fields}


def compiled(contract: EventContract) -> CompiledContract:
    """Compile one contract.

    Raises:
        ExpressionError: A rule or derived field does not parse or type-check.
    """
    data_type = held_type(contract)
    rules = tuple(_rule(rule, contract) for rule in contract.rules)
    warnings = (_deprecation(contract),) if contract.status == "deprecated" else ()
    accept_us = duration(contract.lateness.accept) // MICROSECOND
    ahead_us = duration(contract.lateness.ahead) // MICROSECOND
    namespace: dict[str, object] = {
        **NAMESPACE,
        "_Accepted": Accepted,
        "_Data": data_type,
        "_EXACT": EXACT,
        "_QUOTE": b'"',
        "_Event": Event,
        "_TYPE": contract.name,
        "_VERSION": contract.version,
        "_WARNINGS": warnings,
        "_ACCEPT_US": accept_us,
        "_AHEAD_US": ahead_us,
        "_UNKNOWN_SOURCE": UNKNOWN_SOURCE,
        "_astuple": msgspec.structs.astuple,
        "_decode_data": msgspec.json.Decoder(wire_type(contract)).decode,
        "_digits": digits,
        "_getcontext": getcontext,
        "_identity_prefix": identity_prefix,
        "_instant_us": instant_us,
        "_isfinite": isfinite,
        "_iso_date": iso_date,
        "_json_content": json_content,
        "_surplus": surplus,
        "_scaled": scaled,
        "_setcontext": setcontext,
    }
    for name, field in contract.fields.items():
        if field.type == "decimal":
            namespace[f"_canonical_{field.scale}"] = canonical_form(field.scale or 0)
            namespace[f"_decimal_{field.scale}"] = decimal_reader(field.scale or 0)
        if field.pattern is not None:
            namespace[f"_pattern_{name}"] = searcher(field.pattern)
        namespace |= {f"_min_{name}": field.minimum, f"_max_{name}": field.maximum}
    namespace |= {f"_rule_{n}": (rule.violation,) for n, rule in enumerate(rules)}
    return CompiledContract(
        contract=contract,
        data_type=data_type,
        accept=cast(
            "Callable[[RawEvent, Envelope], Accepted | None]",
            _defined("accept", accept_source(contract), namespace),
        ),
        rules=rules,
        derived=tuple(_derived(name, text, contract) for name, text in contract.derived.items()),
        warnings=warnings,
        accept_us=accept_us,
        ahead_us=ahead_us,
    )


def exactly(value: CompiledExpression, fields: Fields) -> object:
    """Evaluate without rounding, whatever the thread's decimal context is."""
    context = getcontext()
    setcontext(EXACT)
    try:
        return value(fields)
    finally:
        setcontext(context)


def digits(data: msgspec.Raw, field: str) -> str:
    """Return the text of a JSON number the way it was sent."""
    return bytes(decode_members(data)[field]).decode()


def scaled(value: Decimal | int | None, scale: int) -> Decimal | None:
    """Return the one decimal that stands for a computed value at its scale."""
    return None if value is None else canonical_decimal(value, scale)


def _rule(rule: Rule, contract: EventContract) -> CompiledRule:
    node = parse_scalar(rule.check)
    infer(node, declared_scope(contract))
    reads = tuple(sorted(fields_of(node)))
    text = f"rule {quoted(rule.name)} failed" + (f": {rule.message}" if rule.message else "")
    violation = Violation(
        codes.RULE_FAILED,
        f"/data/{reads[0]}" if len(reads) == 1 else "/data",
        text.rstrip("."),
        f"It must not be false that {rule.check}.",
    )
    return CompiledRule(rule, reads, _value(node_text=rule.check, contract=contract), violation)


def _derived(name: str, text: str, contract: EventContract) -> CompiledDerived:
    node = parse_scalar(text)
    kind = infer(node, declared_scope(contract))
    value = _value(node_text=text, contract=contract)
    if kind.kind == "decimal":
        value = _scaled_value(value, kind.scale)
    return CompiledDerived(name, kind, tuple(sorted(fields_of(node))), value)


def _scaled_value(value: CompiledExpression, scale: int) -> CompiledExpression:
    return lambda fields: scaled(cast("Decimal | int | None", value(fields)), scale)


def _value(*, node_text: str, contract: EventContract) -> CompiledExpression:
    source = value_source(parse_scalar(node_text), contract)
    return cast("CompiledExpression", _defined("value", source, dict(NAMESPACE)))


def _defined(name: str, source: str, namespace: dict[str, object]) -> object:
    exec(compile(source, f"<contract {name}>", "exec"), namespace)
    return namespace[name]


def _deprecation(contract: EventContract) -> Violation:
    until = f"; it will be refused from {contract.sunset}" if contract.sunset else ""
    return Violation(
        codes.EVENT_DEPRECATED,
        "/type",
        f"event {quoted(contract.ref)} is deprecated{until}",
        "Send its successor.",
    )
