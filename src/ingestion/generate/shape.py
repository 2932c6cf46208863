"""The shape of a scenario: who does what, how often and with which values, as YAML."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field, model_validator

from agentflow.contracts.base import FieldName, Frozen

Share = Annotated[float, Field(ge=0, le=1)]
Weight = Annotated[float, Field(gt=0)]
Seconds = Annotated[float, Field(ge=0, le=86_400)]
_KINDS = ("choice", "integer", "decimal", "id", "text", "pattern", "boolean", "ago")


class Draw(Frozen):
    """How a value comes about; exactly one kind is given.

    Attributes:
        choice: Text → weight.
        integer: Lowest and highest whole number.
        decimal: Lowest and highest number, with `scale` digits after the point.
        median: Half of the numbers are below it, with a long tail above; None draws evenly.
        spread: How long that tail is; 0.5 is mild, 1.5 is wild.
        id: A prefix; what follows was never used before, in any run.
        text: Template over values in scope, such as `/product/{product_id}`.
        pattern: A simple regular expression that the text must match.
        boolean: How often it is true.
        ago: Seconds before the event, lowest and highest; `[0, 0]` is its own time.
        absent: How often there is no value at all.
    """

    choice: Annotated[dict[str, Weight], Field(min_length=1)] | None = None
    integer: tuple[int, int] | None = None
    decimal: tuple[Decimal, Decimal] | None = None
    scale: Annotated[int, Field(ge=0, le=9)] = 2
    median: Annotated[float, Field(gt=0)] | None = None
    spread: Annotated[float, Field(gt=0, le=3)] = 0.6
    id: str | None = None
    text: str | None = None
    pattern: str | None = None
    boolean: Share | None = None
    ago: tuple[Seconds, Seconds] | None = None
    absent: Share = 0

    @model_validator(mode="after")
    def _has_one_kind(self) -> Draw:
        given = [kind for kind in _KINDS if getattr(self, kind) is not None]
        if len(given) != 1:
            raise ValueError(f"give exactly one of {', '.join(_KINDS)}")
        for bounds in (self.integer, self.decimal, self.ago):
            if bounds is not None and bounds[0] > bounds[1]:
                raise ValueError("the lowest value comes first")
        return self


Values = dict[FieldName, Draw | str]
"""Name → how it is drawn, or an expression over the values in scope (`quantity * price`)."""


class Pool(Frozen):
    """Things that are there all the time and turn up again and again: products, users.

    Attributes:
        skew: 1 picks evenly; the higher, the more often the first ones are picked.
        values: What each of them is, drawn once; ids number them, the same in every run.
    """

    size: Annotated[int, Field(ge=1, le=100_000)]
    skew: Annotated[float, Field(ge=1, le=10)] = 1
    values: Values


class Step(Frozen):
    """One thing that happens in a journey; exactly one kind is given.

    Attributes:
        emit: Event type; each of its fields takes the value of that name in scope, if there is one.
        values: For `emit`: fields that are drawn for this event alone.
        only: For `emit`: the fields that may be taken from the scope; None means all.
        draw: Values that the rest of the journey sees.
        pick: A pool; the rest of the journey sees the values of one of its things.
        wait: Seconds until the next step, lowest and highest.
        chance: How often `steps` happen, and else `otherwise`.
        when: Or the condition under which they do.
        repeat: How many times `steps` happen, lowest and highest.
    """

    emit: str | None = None
    values: Values = Field(default_factory=dict)
    only: tuple[FieldName, ...] | None = None
    draw: Values | None = None
    pick: FieldName | None = None
    wait: tuple[Seconds, Seconds] | None = None
    chance: Share | None = None
    when: str | None = None
    repeat: tuple[Annotated[int, Field(ge=0)], Annotated[int, Field(le=1000)]] | None = None
    steps: tuple[Step, ...] = ()
    otherwise: tuple[Step, ...] = ()

    @model_validator(mode="after")
    def _has_one_kind(self) -> Step:
        kinds = ("emit", "draw", "pick", "wait", "chance", "when", "repeat")
        given = [kind for kind in kinds if getattr(self, kind) is not None]
        if len(given) != 1:
            raise ValueError(f"a step is exactly one of {', '.join(kinds)}")
        if (given[0] in {"chance", "when", "repeat"}) != bool(self.steps):
            raise ValueError("`steps` go with chance, when and repeat, and only with them")
        return self


class Journey(Frozen):
    """What one of many does from beginning to end.

    Attributes:
        weight: How often it begins, compared with the others.
    """

    weight: Weight = 1
    steps: Annotated[tuple[Step, ...], Field(min_length=1)]


class Opening(Frozen):
    """What happens once for everything in a pool, before the first journey."""

    each: FieldName
    steps: Annotated[tuple[Step, ...], Field(min_length=1)]


class Scenario(Frozen):
    """A small world that sends events.

    Attributes:
        source: CloudEvents source of its events.
    """

    kind: Literal["scenario"]
    name: FieldName
    description: str = ""
    source: str
    pools: dict[FieldName, Pool] = Field(default_factory=dict)
    opening: tuple[Opening, ...] = ()
    journeys: Annotated[dict[FieldName, Journey], Field(min_length=1)]
