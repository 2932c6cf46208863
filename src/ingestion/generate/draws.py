"""From how a value comes about to the function that draws it."""

from __future__ import annotations

import re
from bisect import bisect
from collections.abc import Callable, Mapping
from decimal import Decimal
from itertools import accumulate
from math import exp, log
from random import Random
from typing import TypeAlias

from agentflow.expressions import ExpressionType, Scope, infer, parse_scalar
from agentflow.expressions.python import NAMESPACE, PythonEmitter
from ingestion.generate.patterns import sampler
from ingestion.generate.shape import Draw

DrawnValue: TypeAlias = "str | int | float | bool | Decimal | None"
State: TypeAlias = "dict[str, DrawnValue]"
"""The values one journey has drawn so far; every name it may ever draw is there, first as None."""
Drawing: TypeAlias = Callable[[State], DrawnValue]
_PART = re.compile(r"\{([^{}]*)\}")


class DrawContext:
    """What the generator knows while it makes an event; one for a whole run, changed in place.

    Attributes:
        now_us: Time of the event, before it is made late.
        run: Text that no other run has, for ids.
        count: Ids given so far.
    """

    __slots__ = ("count", "now_us", "random", "run")

    def __init__(self, random: Random, *, run: str, now_us: int) -> None:
        self.random = random
        self.run = run
        self.now_us = now_us
        self.count = 0


def names_in(template: str) -> tuple[str, ...]:
    """Return the values that a template uses."""
    return tuple(_PART.findall(template))


def type_of(value: Draw | str, scope: Scope) -> ExpressionType:
    """Return the type of what will be drawn.

    Raises:
        ExpressionError: An expression does not parse or fit its scope.
    """
    if isinstance(value, str):
        return infer(parse_scalar(value), scope)
    nullable = value.absent > 0
    if value.integer is not None:
        return ExpressionType("integer", nullable=nullable)
    if value.decimal is not None:
        return ExpressionType("decimal", scale=value.scale, nullable=nullable)
    if value.boolean is not None:
        return ExpressionType("boolean", nullable=nullable)
    if value.ago is not None:
        return ExpressionType("timestamp", nullable=nullable)
    return ExpressionType("string", nullable=nullable)


def drawing_of(value: Draw | str, scope: Scope, context: DrawContext) -> Drawing:
    """Compile one value. What it draws depends only on the context's randomness and the state."""
    if isinstance(value, str):
        source = PythonEmitter(scope, field=lambda name: f"v[{name!r}]").value_source(
            parse_scalar(value)
        )
        compiled: Drawing = eval(f"lambda v: {source}", dict(NAMESPACE))  # noqa: S307 - emitted from a checked tree, never text of a file
        return compiled
    draw = _drawing(value, context)
    if value.absent == 0:
        return draw
    absent, random = value.absent, context.random.random
    return lambda state: None if random() < absent else draw(state)


def _drawing(value: Draw, context: DrawContext) -> Drawing:  # noqa: PLR0911 - one for each kind
    random = context.random.random
    if value.choice is not None:
        return _choice(value.choice, random)
    if value.integer is not None:
        number = _number(value, float(value.integer[0]), value.integer[1] + 1.0, context.random)
        highest = value.integer[1]
        return lambda _state: min(int(number() // 1), highest)
    if value.decimal is not None:
        return _decimal(value, value.decimal, context.random)
    if value.boolean is not None:
        share = value.boolean
        return lambda _state: random() < share
    if value.ago is not None:
        low_us, high_us = (int(seconds * 1_000_000) for seconds in value.ago)
        span_us = high_us - low_us
        return lambda _state: context.now_us - low_us - int(random() * span_us)
    if value.id is not None:
        return _id(value.id, context)
    if value.pattern is not None:
        return _pattern(value.pattern, context.random)
    return _text(value.text or "")


def _choice(weights: Mapping[str, float], random: Callable[[], float]) -> Drawing:
    options = list(weights)
    bounds = list(accumulate(weights.values()))
    total = bounds.pop()
    return lambda _state: options[bisect(bounds, random() * total)]


def _number(value: Draw, low: float, high: float, random: Random) -> Callable[[], float]:
    if value.median is None:
        draw, span = random.random, high - low
        return lambda: low + draw() * span
    middle, spread, gauss = log(value.median), value.spread, random.gauss
    return lambda: min(max(exp(gauss(middle, spread)), low), high)


def _decimal(value: Draw, bounds: tuple[Decimal, Decimal], random: Random) -> Drawing:
    scale = value.scale
    units = 10**scale
    low, high = (int(bound * units) for bound in bounds)
    number = _number(value, float(bounds[0]), float(bounds[1]), random)

    def draw(_state: State) -> DrawnValue:
        return Decimal(min(max(int(number() * units), low), high)).scaleb(-scale)

    return draw


def _id(prefix: str, context: DrawContext) -> Drawing:
    def draw(_state: State) -> DrawnValue:
        context.count += 1
        return f"{prefix}{context.run}{context.count}"

    return draw


def _pattern(pattern: str, random: Random) -> Drawing:
    draw = sampler(pattern)
    if draw is None:
        raise ValueError(f"no text can be drawn for {pattern}")
    return lambda _state: draw(random)


def _text(template: str) -> Drawing:
    names = names_in(template)
    pattern = _PART.sub("%s", template.replace("%", "%%"))
    return lambda state: pattern % tuple([state[name] for name in names])
