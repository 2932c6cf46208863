"""A scenario for contracts that come without one: random events that fit their fields."""

from __future__ import annotations

from decimal import Decimal

from agentflow.contracts import EventContract, FieldContract, Registry
from ingestion.generate.patterns import sampler
from ingestion.generate.shape import Draw, Journey, Scenario, Step, Values

_PEOPLE = 500
_DAY_SECONDS = 86_400.0
_ABSENT = 0.3


def random_scenario(registry: Registry) -> Scenario:
    """Return a scenario in which every event type is as likely as every other.

    Keys and everything that is called an id come from 500 values, so that corrections meet what
    they correct. Event types with a field that cannot be drawn (a required, complicated pattern)
    are left out.
    Compile it *careful*: only drawing again makes the values obey rules.
    """
    journeys: dict[str, Journey] = {}
    for ref, contract in registry.events.items():
        values = _values(contract)
        if values is not None and contract.status != "deprecated":
            step = Step(emit=str(ref), values=values)
            journeys[f"{ref.type.replace('.', '_')}_v{ref.version}"] = Journey(steps=(step,))
    return Scenario(
        kind="scenario", name="random", source="urn:agentflow:random", journeys=journeys
    )


def _values(contract: EventContract) -> Values | None:
    values: Values = {}
    ties = {contract.key, contract.corrects.on if contract.corrects else None}
    ties |= {contract.supersedes.on} if contract.supersedes else set()
    for name, field in contract.fields.items():
        draw = _draw(name, field, tie=name in ties, event_time=name == contract.event_time)
        if draw is not None:
            values[name] = draw
        elif field.required:
            return None
    return values


def _draw(name: str, field: FieldContract, *, tie: bool, event_time: bool) -> Draw | None:
    absent = 0.0 if field.required or tie or event_time else _ABSENT
    match field.type:
        case "string":
            return _string(name, field, tie=tie, absent=absent)
        case "integer":
            low, high = _bounds(field, Decimal(0), Decimal(1000))
            return Draw(integer=(int(-(-low // 1)), int(high // 1)), absent=absent)
        case "decimal" | "number":
            low, high = _bounds(field, Decimal(1), Decimal(1000))
            scale = field.scale if field.scale is not None else 3
            return Draw(decimal=(low, high), scale=scale, absent=absent)
        case "boolean":
            return Draw(boolean=0.5, absent=absent)
        case "timestamp":
            return Draw(ago=(0, 0) if event_time else (0, _DAY_SECONDS), absent=absent)
        case "date":
            return Draw(pattern="202[0-5]-0[1-9]-[12][0-8]", absent=absent)


def _string(name: str, field: FieldContract, *, tie: bool, absent: float) -> Draw | None:
    if field.enum:
        return Draw(choice=dict.fromkeys(field.enum, 1.0), absent=absent)
    if field.pattern is not None:
        usable = sampler(field.pattern) is not None
        return Draw(pattern=field.pattern, absent=absent) if usable else None
    longest = field.max_length or 80
    if tie or name.endswith("_id"):
        width = min(longest, max(len(name) + 4, field.min_length or 0))
        options = [
            f"{name}-{number}".ljust(field.min_length or 0, "x") for number in range(_PEOPLE)
        ]
        return Draw(choice={option[-width:]: 1.0 for option in options}, absent=absent)
    shortest = max(1, field.min_length or 0)
    letters = f"[a-z]{{{shortest},{min(longest, max(shortest, 12))}}}"
    return Draw(pattern=letters, absent=absent)


def _bounds(field: FieldContract, low: Decimal, high: Decimal) -> tuple[Decimal, Decimal]:
    least = field.minimum if field.minimum is not None else min(low, field.maximum or low)
    most = field.maximum if field.maximum is not None else max(high, least + high)
    return least, most
