"""Random valid events of any contract: small pools, so that keys meet; edges, so that bounds do."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from random import Random

from agentflow.clock import to_rfc3339
from agentflow.contracts import EventContract
from agentflow.contracts.model import FieldContract, duration

Data = dict[str, object]
_CLASS = re.compile(r"\[([^\]]+)\](?:\{(\d+)\}|(\*))?")


def random_document(
    random: Random, contract: EventContract, *, occurred_us: int, event_id: str
) -> Data:
    """Return a CloudEvents document; rules may still refuse its data, so the caller retries."""
    data = {
        name: random_value(random, name, field, occurred_us)
        for name, field in contract.fields.items()
        if field.required or random.random() < 0.7
    }
    if contract.event_time is not None:
        data[contract.event_time] = to_rfc3339(occurred_us)
    for fix in FIXES.get(contract.name, ()):
        fix(random, data, occurred_us)
    return {
        "id": event_id,
        "source": random.choice(["/a", "/b"]),
        "type": contract.name,
        "dataversion": contract.version,
        "time": to_rfc3339(occurred_us),
        "data": data,
    }


def random_value(  # noqa: PLR0911 - one for each type
    random: Random, name: str, field: FieldContract, occurred_us: int
) -> object:
    """Return a value the field admits, as JSON has it."""
    low, high = _bounds(field)
    match field.type:
        case "string":
            return _text(random, name, field)
        case "integer":
            return _whole(random, int(low), int(high))
        case "decimal":
            scale = field.scale or 0
            unscaled = _whole(random, int(low.scaleb(scale)), int(high.scaleb(scale)))
            return str(Decimal(unscaled).scaleb(-scale))
        case "number":
            return float(_whole(random, int(low), int(high)))
        case "boolean":
            return random.random() < 0.5
        case "timestamp":
            return to_rfc3339(occurred_us - random.randrange(86_400_000) * 1000)
        case "date":
            return to_rfc3339(occurred_us)[:10]


def random_age_us(random: Random, contract: EventContract) -> int:
    """Return how old an event is on arrival; negative is in the future, as far as is accepted."""
    ahead_us = int(duration(contract.lateness.ahead).total_seconds() * 1_000_000)
    accept_us = int(duration(contract.lateness.accept).total_seconds() * 1_000_000)
    second, minute, hour, day = 1_000_000, 60_000_000, 3_600_000_000, 86_400_000_000
    scale = random.choice(
        [
            0,
            second,
            5 * second,
            minute,
            5 * minute,
            hour,
            hour,
            3 * hour,
            day,
            day,
            3 * day,
            9 * day,
        ]
    )
    age = random.randrange(scale + 1) if random.random() < 0.8 else scale
    if random.random() < 0.1:
        age = -random.randrange(ahead_us)
    return min(age, accept_us - 1)


def snapped(random: Random, occurred_us: int) -> int:
    """Return the instant, often moved onto the edge of a step, or one microsecond beside it."""
    if random.random() < 0.6:
        return occurred_us
    step = random.choice([5_000_000, 60_000_000, 900_000_000, 3_600_000_000, 86_400_000_000])
    return occurred_us - occurred_us % step + random.choice([0, 0, -1, 1])


def _bounds(field: FieldContract) -> tuple[Decimal, Decimal]:
    low = field.minimum if field.minimum is not None else Decimal(-(10**6))
    high = field.maximum if field.maximum is not None else Decimal(10**6)
    return low, high


def _whole(random: Random, low: int, high: int) -> int:
    """Small values mostly, so that equal ones occur; sometimes a bound, sometimes anything."""
    draw = random.random()
    if draw < 0.05:
        return low
    if draw < 0.08:
        return high
    if draw < 0.25:
        return random.randint(low, high)
    wide = random.choice([3, 30, 300, 3_000, 60_000])
    return min(max(random.randint(0, wide), low), high)


def _text(random: Random, name: str, field: FieldContract) -> str:
    if field.enum:
        return random.choice(field.enum[:3])
    if field.pattern:
        return _matching(random, field.pattern)
    pool = 6 if name.endswith("_id") else 4
    return random.choice(["nav_", "add_to_cart", "é ' \"", "x"] if name == "element" else [""]) + (
        f"{name[0]}{random.randrange(pool)}"
    )


def _matching(random: Random, pattern: str) -> str:
    """Return a text of few for the simple patterns contracts use: classes with counts."""
    text = ""
    for letters, times, many in _CLASS.findall(pattern.strip("^$")):
        first = letters[0]
        count = int(times or 1) if not many else random.randrange(2)
        text += "".join(random.choice([first, chr(ord(first) + 1)]) for _ in range(count))
    return text


Fix = Callable[[Random, Data, int], None]


def _departed(random: Random, data: Data, occurred_us: int) -> None:
    delay = random.choice([-20, 0, 3, 14, 15, 59, 60, 500])
    data["delay_minutes"] = delay
    data["scheduled_at"] = to_rfc3339(occurred_us - delay * 60_000_000)


def _arrived(random: Random, data: Data, occurred_us: int) -> None:
    data["departed_at"] = to_rfc3339(occurred_us - random.randint(1, 10**10))


def _resolved(random: Random, data: Data, occurred_us: int) -> None:
    data["opened_at"] = to_rfc3339(occurred_us - random.choice([0, 1, 999, 1000, 10**7, 10**10]))


FIXES: Mapping[str, tuple[Fix, ...]] = {
    "flight.departed": (_departed,),
    "flight.arrived": (_arrived,),
    "support.ticket_resolved": (_resolved,),
}
"""Values that a rule ties together and chance would hardly hit."""


def encoded(document: Data) -> bytes:
    """Return the document as producers send it."""
    return json.dumps(document).encode()
