"""The generator: one seed, one stream of bytes, at an exact rate in simulated time."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterator
from hashlib import blake2b
from random import Random
from typing import Literal, TypeAlias

import msgspec
from pydantic import Field, model_validator

from agentflow.clock import to_rfc3339
from agentflow.contracts import Registry
from agentflow.contracts.base import Frozen
from agentflow.errors import ParameterError
from ingestion.generate.bad import Document, EventCorrupter
from ingestion.generate.draws import DrawContext
from ingestion.generate.journeys import CompiledScenario, Draft, Happening, compile_scenario
from ingestion.generate.shape import Scenario, Share

Kind: TypeAlias = Literal["good", "late", "duplicate", "out_of_order", "bad"]
_MINUTE_US = 60_000_000
_RECENT = 2_000
_IDLE_LIMIT = 10_000


class Profile(Frozen):
    """The dials of a generator; the shares are fractions of all events.

    Attributes:
        rate: Events a second.
        late: Arrive long after they happened: minutes to `late_minutes`.
        duplicate: Are sent again, byte for byte, after up to 2,000 others.
        out_of_order: Are overtaken by up to `overtaken_by` events.
        bad: Are wrong in one of the ways of `bad.FLAWS`.
        speed: How much faster than life journeys go; at 20, an hour of waits is three minutes.
    """

    rate: float = Field(default=200, gt=0, le=10_000_000)
    late: Share = 0.01
    duplicate: Share = 0.01
    out_of_order: Share = 0.02
    bad: Share = 0.01
    late_minutes: int = Field(default=720, ge=2, le=1440)
    overtaken_by: int = Field(default=50, ge=1, le=10_000)
    speed: float = Field(default=1, gt=0, le=100_000)

    @model_validator(mode="after")
    def _leaves_something(self) -> Profile:
        if self.duplicate + self.bad > 0.9:  # noqa: PLR2004 - both are made from other events
            raise ValueError("duplicate and bad together leave nothing to make them from")
        if self.late + self.out_of_order > 1:
            raise ValueError("late and out_of_order together are more than all events")
        return self


CLEAN = Profile(late=0, duplicate=0, out_of_order=0, bad=0)
"""Only good events, in order."""


class Generated(msgspec.Struct, frozen=True, gc=False):
    """One event to send.

    Attributes:
        due_us: When to send it: start plus its place in the stream over the rate.
        value: CloudEvents JSON, or what a broken producer would send instead.
        kind: Which dial made it.
        flaw: For bad ones, what is wrong with it.
    """

    due_us: int
    value: bytes
    kind: Kind
    flaw: str | None = None


class Generator:
    """A seeded source of events.

    Time is simulated: the i-th event is due i / rate seconds after the start, whatever reads it and
    however fast. Ids carry a digest of seed and start, so two runs never share one, and the same
    run repeated is a replay.
    """

    def __init__(
        self,
        scenario: Scenario,
        registry: Registry,
        *,
        seed: int,
        start_us: int,
        profile: Profile | None = None,
        careful: bool = False,
    ) -> None:
        self._scenario = scenario
        self._registry = registry
        self._profile = profile or Profile()
        self._seed = seed
        self._start_us = start_us
        self._careful = careful

    def events(self) -> Iterator[Generated]:
        """Return the endless stream from its beginning; each call is the same stream again."""
        return _Run(
            self._scenario,
            self._registry,
            profile=self._profile,
            start_us=self._start_us,
            seed=self._seed,
            careful=self._careful,
        ).events()


class _Run:
    """The moving parts of one stream."""

    def __init__(
        self,
        scenario: Scenario,
        registry: Registry,
        *,
        profile: Profile,
        start_us: int,
        seed: int,
        careful: bool,
    ) -> None:
        tag = blake2b(f"{seed}:{start_us}".encode(), digest_size=4).hexdigest()
        self._context = DrawContext(Random(seed), run=f"{tag}-", now_us=start_us)  # noqa: S311 - not for secrets
        self._dice = Random(seed + 1).random  # noqa: S311 - dials must not disturb the journeys
        self._cast = compile_scenario(scenario, registry, self._context, careful=careful)
        self._spoiler = EventCorrupter(Random(seed + 2))  # noqa: S311
        self._profile = profile
        self._start_us = start_us
        self._source = scenario.source
        self._pinned = {ref for ref in registry.events if registry.event(ref.type).ref != ref}
        self._id = f"{tag}-"
        self._written = 0
        self._encode = msgspec.json.Encoder(decimal_format="string").encode
        self._drafts = _drafts(self._cast, self._context, profile.speed)
        self._recent: deque[bytes] = deque(maxlen=_RECENT)
        self._held: list[tuple[int, int, bytes]] = []
        self._last: Draft | None = None

    def events(self) -> Iterator[Generated]:
        profile, dice, start_us = self._profile, self._dice, self._start_us
        gap_us = 1_000_000 / profile.rate
        spoiled = profile.duplicate + profile.bad
        position = 0
        while True:
            due_us = start_us + int(position * gap_us)
            thrown = dice()
            if self._held and self._held[0][0] <= position:
                yield self._sent(due_us, heapq.heappop(self._held)[2], "out_of_order")
            elif thrown < profile.duplicate and self._recent:
                again = self._recent[int(dice() * len(self._recent))]
                yield Generated(due_us, again, "duplicate")
            elif thrown < spoiled and self._last is not None:
                flaw, value = self._spoiler.spoil(self._last, self._document)
                yield Generated(due_us, value, "bad", flaw)
            else:
                yield self._next(due_us, position)
            position += 1

    def _next(self, due_us: int, position: int) -> Generated:
        profile, dice = self._profile, self._dice
        self._context.now_us = due_us
        while True:
            draft = self._last = next(self._drafts)
            thrown = dice()
            if thrown < profile.late:
                span = profile.late_minutes - 1
                late = draft.moved(-int((1 + dice() * dice() * span) * _MINUTE_US))
                return self._sent(due_us, self._encode(self._document(late)), "late")
            value = self._encode(self._document(draft))
            if thrown >= profile.late + profile.out_of_order:
                return self._sent(due_us, value, "good")
            behind = position + 1 + int(dice() * profile.overtaken_by)
            heapq.heappush(self._held, (behind, self._written, value))

    def _sent(self, due_us: int, value: bytes, kind: Kind) -> Generated:
        self._recent.append(value)
        return Generated(due_us, value, kind)

    def _document(self, draft: Draft) -> Document:
        self._written += 1
        data: dict[str, object] = dict(draft.values)
        for name in draft.timestamps:
            if isinstance(instant_us := data.get(name), int):
                data[name] = to_rfc3339(instant_us)
        document: Document = {
            "specversion": "1.0",
            "id": f"{self._id}{self._written}",
            "source": self._source,
            "type": draft.contract.name,
            "time": to_rfc3339(draft.occurred_us),
            "data": data,
        }
        if draft.contract.ref in self._pinned:
            document["dataversion"] = str(draft.contract.version)
        return document


def _drafts(cast: CompiledScenario, context: DrawContext, speed: float) -> Iterator[Draft]:
    """Return one event after another, each at the context's time when it is asked for.

    The journey that has waited longest goes first; a new one begins only when none is due. So the
    rate is exact, and the number of journeys under way follows from it.
    """
    waiting: list[tuple[int, int, Iterator[Happening]]] = []
    for order, begin in enumerate(cast.opening):
        heapq.heappush(waiting, (0, order, begin()))
    order = len(waiting)
    idle = 0
    while idle < _IDLE_LIMIT:
        if waiting and waiting[0][0] <= context.now_us:
            journey = heapq.heappop(waiting)[2]
        else:
            journey = cast.begin()
        idle += 1
        for happening in journey:
            order += 1
            if isinstance(happening, int):
                ready_us = context.now_us + int(happening / speed)
                heapq.heappush(waiting, (ready_us, order, journey))
                break
            idle = 0
            heapq.heappush(waiting, (context.now_us, order, journey))
            yield happening
            break
    raise ParameterError("the scenario has stopped sending events", hint="Let a journey emit one.")
