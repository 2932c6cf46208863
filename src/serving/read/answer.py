"""From a question to a number with its proof: the main path of every read.

`Asked` is a validated question; `Answerer.answer` reads the live engine once, so that all parts of
an answer belong to one cut. An `Answer` knows its own revision: as long as neither an event moved
the metric nor time moved events through its window, the same bytes are right, but for `age_ms`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from hashlib import blake2b
from typing import Final

import msgspec

from agentflow.clock import to_rfc3339
from agentflow.contracts.model import duration
from agentflow.contracts.scope import attribute_of
from agentflow.metrics import Measured, MetricPlan, MetricState, Page
from agentflow.metrics.windows import BEGINNING_US
from processing.live import MetricId
from processing.platform import Platform
from processing.runtime.slices import SLICED_ABOVE, at_once, in_slices
from serving.read.answer_document import AnswerShape, PastGroup, wire
from serving.read.asked import Asked
from serving.read.causes import Causes, Place
from serving.read.cursors import Cursors
from serving.read.group_pages import GroupCursors
from serving.read.offsets import Offsets
from serving.read.units import unit_of, unit_of_total
from serving.read.warnings import truncated, unseen

_ATTEMPTS: Final = 8
"""Time goes on while a question is prepared: a window may have moved on at the end of it."""
_AGES = b'"age_ms":null,"source_idle_ms":null'


@dataclass(frozen=True, slots=True)
class Answer:
    """A rendered answer.

    Attributes:
        etag: Changes when an event moves the metric for the tenant, or leaves its window.
        valid_until_us: When the window moves on; the answer must be made again after it.
        state: What it was made from.
        moves: The revision of the metric it was made from.
        moved_at_us: When the newest event came that moved this number, in the cell and window
            asked; None if none of the newest that moved the metric did.
        arrived_us: When the newest event came that can move the metric; None before any did.
    """

    etag: str
    valid_until_us: int
    state: MetricState
    moves: int
    moved_at_us: int | None
    arrived_us: int | None
    document: AnswerShape
    _head: bytes = field(repr=False)
    _tail: bytes = field(repr=False)

    def render(self, now_us: int) -> bytes:
        """Return the JSON body for a reader whose clock says *now_us*."""
        moved_us, arrived_us = self.moved_at_us, self.arrived_us
        if moved_us is None or arrived_us is None:
            ages = _since(moved_us, now_us), _since(arrived_us, now_us)
            return b'%s"age_ms":%s,"source_idle_ms":%s%s' % (self._head, *ages, self._tail)
        # Every read comes by here.
        age_ms, idle_ms = (now_us - moved_us) // 1000, (now_us - arrived_us) // 1000
        return b'%s"age_ms":%d,"source_idle_ms":%d%s' % (
            self._head,
            max(0, age_ms),
            max(0, idle_ms),
            self._tail,
        )


def _since(instant_us: int | None, now_us: int) -> bytes:
    """Return the milliseconds since an instant, as JSON."""
    return b"null" if instant_us is None else b"%d" % (max(now_us - instant_us, 0) // 1000)


class Answerer:
    """Answers from live state. Belongs to the platform's event loop."""

    def __init__(self, platform: Platform, offsets: Offsets | None = None) -> None:
        self._platform = platform
        self._offsets = offsets or Offsets()
        self._causes: dict[MetricId, tuple[MetricPlan, Causes]] = {}

    def answer(self, asked: Asked, tenant: str) -> Answer:
        """Answer a question now, however long it takes."""
        answering = self.begin(asked, tenant)
        at_once(answering.steps())
        return answering.answer()

    def begin(self, asked: Asked, tenant: str) -> Answering:
        """Begin to answer a question as of this instant."""
        causes = self._causes_of(asked.plan)
        return Answering(self._platform, asked, tenant, causes, offsets=self._offsets)

    async def prepare(self, asked: Asked, tenant: str) -> None:
        """Get ready what would take long at the beginning: windows, and the order of the groups."""
        plan, platform = asked.plan, self._platform
        for _ in range(_ATTEMPTS):
            await platform.refresh(plan.id, tenant)
            if asked.by and asked.by == plan.dimensions and not asked.where:
                state = platform.engine.settled(plan.id, tenant)
                await in_slices(state.order(asked.window).steps())
            if not self._laborious(plan, tenant):
                return

    def _laborious(self, plan: MetricPlan, tenant: str) -> bool:
        now_us = self._platform.clock.now_us()
        return self._platform.engine.laborious(plan.id, tenant, now_us=now_us, most=SLICED_ABOVE)

    def quick(self, asked: Asked, tenant: str) -> bool:
        """Tell whether a question is answered so quickly that nobody waits long meanwhile."""
        if self._laborious(asked.plan, tenant):
            return False
        ready = {asked.plan.currency} if asked.plan.currency else set()
        if set(asked.by) <= ready and asked.where.keys() <= ready:
            return True
        state = self._platform.engine.state(asked.plan.id, tenant)
        return state.width(asked.window) <= SLICED_ABOVE

    def _causes_of(self, plan: MetricPlan) -> Causes:
        held = self._causes.get(plan.id)
        if held is None or held[0] is not plan:
            held = self._causes[plan.id] = (plan, Causes(plan))
        return held[1]


class Answering:
    """An answer that is being made: of the instant at which it began, whatever moves meanwhile.

    Go through `steps`, then ask for the `answer`; `close` it in any case.
    """

    def __init__(
        self, platform: Platform, asked: Asked, tenant: str, causes: Causes, *, offsets: Offsets
    ) -> None:
        plan, self._asked, self._platform = asked.plan, asked, platform
        self._cursors = GroupCursors(Cursors(platform.seal), tenant)
        now_us = platform.clock.now_us()
        state = self._state = platform.engine.read(plan.id, tenant, now_us=now_us)
        self._bounds = state.bounds(asked.window)
        where = {attribute_of(name): value for name, value in asked.where.items()}
        self._causes, self._moved_at_us = causes.of(state.causes, Place(where, *self._bounds))
        self._etag = etag(asked, tenant, state, platform)
        self._moves = state.moves
        self._arrived_us = platform.engine.arrived_us(tenant, plan.contract.refs)
        self._status = platform.health.status(plan, tenant)
        self._watermark_us = platform.engine.watermark_us.get(tenant)
        self._token = platform.token()
        emptied = platform.health.truncations.of(plan.contract, platform.registry, tenant)
        self._emptied = truncated(emptied, tenant, offsets)
        self._contract = contract_document(plan, platform)
        page = Page(asked.after, asked.limit)
        self._groups = state.groups(asked.window, by=asked.by, where=asked.where, page=page)
        self._documents: list[PastGroup] = []

    def steps(self) -> Iterator[None]:
        """Work, a group or less in each step."""
        yield from self._groups.steps()
        if self._asked.by:
            for key, measured in self._groups.found.items():
                self._documents.append(_group(self._asked, key, measured))
                yield

    def close(self) -> None:
        """Follow no changes any more."""
        self._groups.close()

    def answer(self) -> Answer:
        """Return the answer, once all steps are done."""
        document = self._document()
        head, _, tail = _encode(document).rpartition(_AGES)
        return Answer(
            etag=self._etag,
            valid_until_us=self._bounds[1],
            state=self._state,
            moves=self._moves,
            moved_at_us=self._moved_at_us,
            arrived_us=self._arrived_us,
            document=document,
            _head=head,
            _tail=tail,
        )

    def _document(self) -> AnswerShape:
        asked, plan, found = self._asked, self._asked.plan, self._groups
        start_us, end_us = self._bounds
        unbounded = start_us == BEGINNING_US
        mixed = len(found.units) > 1
        total = None if mixed else found.total
        state, registry = self._state, self._platform.registry
        unseen_values = (
            []
            if found.events
            else unseen(plan, registry, asked.where, state.values, state.departed)
        )
        return AnswerShape(
            metric=plan.contract.name,
            value=wire(total.value) if total else None,
            unit=unit_of_total(asked, found.units),
            status=self._status,
            window={
                "name": asked.window,
                "start": None if unbounded else to_rfc3339(start_us),
                "end": None if unbounded else to_rfc3339(end_us),
            },
            dimensions=dict(asked.where),
            contract=self._contract,
            watermark=None if self._watermark_us is None else to_rfc3339(self._watermark_us),
            token=self._token,
            events=found.events,
            exact=True,
            error_bound=0.0,
            age_ms=None,
            source_idle_ms=None,
            causes=self._causes,
            warnings=[*self._emptied, *unseen_values],
            groups=self._documents if asked.by else msgspec.UNSET,
            left_out=found.left_out if asked.by else msgspec.UNSET,
            next_cursor=(
                self._cursors.write(asked.listing, next(reversed(found.found)))
                if found.left_out
                else None
            ),
        )


def etag(asked: Asked, tenant: str, state: MetricState, platform: Platform) -> str:
    """Return the entity tag of an answer: live state, question, contract and revision."""
    parts = (
        platform.epoch,
        platform.definitions.meanings[asked.plan.id],
        tenant,
        repr(asked.key),
        str(state.moves),
        str(state.expiries(asked.window)),
    )
    return blake2b("\0".join(parts).encode(), digest_size=12).hexdigest()


def contract_document(plan: MetricPlan, platform: Platform) -> dict[str, object]:
    """Return which contract a number was computed by."""
    contract = plan.contract
    return {
        "version": contract.version,
        "fingerprint": platform.registry.fingerprint(contract),
        "status": contract.status,
        "freshness_p95_ms": int(duration(contract.freshness.p95).total_seconds() * 1000),
    }


def _group(asked: Asked, key: tuple[object, ...], measured: Measured) -> PastGroup:
    dimensions = dict(zip(asked.by, key, strict=True))
    return PastGroup(
        dimensions=dimensions,
        value=wire(measured.value),
        unit=unit_of(asked.plan, {**asked.where, **dimensions}),
        events=measured.events,
    )


def _text(value: object) -> object:
    if isinstance(value, Decimal):
        return f"{value:f}"
    raise NotImplementedError(type(value))


_encode = msgspec.json.Encoder(enc_hook=_text).encode
