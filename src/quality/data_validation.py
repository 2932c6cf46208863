"""Validate an event's data and name every violation: fields, then rules, then derived fields."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from math import isfinite

import msgspec

from agentflow.wording import quoted
from quality import codes
from quality.compile import CompiledContract, exactly
from quality.fields import judge_field, missing, unknown
from quality.formats import INTEGER_DIGITS
from quality.shape import MAX_INTEGER, MIN_INTEGER
from quality.verdict import Violation

ValidatedData = tuple[dict[str, object], list[Violation], tuple[Violation, ...]]
"""The declared values that are right, what is wrong, and the warnings."""


def validate_data(plan: CompiledContract, data: Mapping[str, msgspec.Raw]) -> ValidatedData:
    """Judge the data of an event; rules are asked when everything they read is right."""
    fields, found = _fields(plan, data)
    failed, warnings = _rules(plan, fields)
    found += failed
    if not found:
        found += _derived(plan, fields)
    return fields, found, plan.warnings + warnings


def _fields(
    plan: CompiledContract, data: Mapping[str, msgspec.Raw]
) -> tuple[dict[str, object], list[Violation]]:
    contract = plan.contract
    fields: dict[str, object] = {}
    found: list[Violation] = []
    for name, field in contract.fields.items():
        if name not in data:
            if field.required:
                found.append(missing(name, field))
            else:
                fields[name] = None
            continue
        value, violations = judge_field(name, field, data[name])
        found += violations
        if not violations:
            fields[name] = value
    known = list(contract.fields)
    for name in data:
        if name not in contract.fields:
            found.append(unknown(name, known=known, derived=name in contract.derived))
    return fields, found


def _rules(
    plan: CompiledContract, fields: Mapping[str, object]
) -> tuple[list[Violation], tuple[Violation, ...]]:
    failed: list[Violation] = []
    warnings: tuple[Violation, ...] = ()
    for rule in plan.rules:
        if not all(name in fields for name in rule.reads):
            continue
        try:
            holds = exactly(rule.value, fields)
        except ArithmeticError:  # an integer beyond what a float holds meets a float
            holds = False
        if holds is False and rule.rule.on_fail == "warn":
            warnings += (rule.violation,)
        elif holds is False:
            failed.append(rule.violation)
    return failed, warnings


def _derived(plan: CompiledContract, fields: Mapping[str, object]) -> list[Violation]:
    found: list[Violation] = []
    for derived in plan.derived:
        try:
            fits = _fits(derived.type.kind, exactly(derived.value, fields))
        except ArithmeticError:
            fits = False
        if not fits:
            message = (
                f"derived field {quoted(derived.name)} does not fit its type {derived.type.kind}"
            )
            place = f"/data/{derived.reads[0]}" if derived.reads else "/data"
            found.append(Violation(codes.DERIVED_OUT_OF_RANGE, place, message))
    return found


def _fits(kind: str, value: object) -> bool:
    if kind == "integer" and isinstance(value, int):
        return MIN_INTEGER <= value <= MAX_INTEGER
    if kind == "decimal" and isinstance(value, Decimal):
        # compared, not `abs`, which rounds to the precision of the thread that asks
        return -(10**INTEGER_DIGITS) < value < 10**INTEGER_DIGITS
    if kind == "number" and isinstance(value, int | float):
        return isfinite(value)
    return True
