"""Sending a file's events in batches: at a rate, through a restart of the platform, once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec

if TYPE_CHECKING:
    from agentflow_sdk.models import Receipt
    from ingestion.replay import Replayed

BATCH: Final = 2_000
PATIENCE_SECONDS: Final = 300.0
_T = TypeVar("_T")
_FIRST_DELAY_SECONDS: Final = 0.5
_LONGEST_DELAY_SECONDS: Final = 10.0
_BATCHES_A_SECOND: Final = 10
_TRANSIENT: Final = frozenset({429, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Transport:
    """How a sender reaches the platform, and what else it needs.

    Attributes:
        send: Stores the events of one batch.
        waiting: Returns the ids of this type that wait among the dead letters as `row_unmapped`.
        newest: Returns the number of the newest dead letter; None when there is none.
        since: Yields the numbers of all dead letters that are newer, the newest first.
        seconds: A clock that never goes back.
        pause: Waits that many seconds.
        tell: Shows a few words about the progress.
    """

    send: Callable[[list[bytes]], Receipt]
    waiting: Callable[[str], AbstractSet[str]]
    newest: Callable[[], int | None]
    since: Callable[[int], Iterable[int]]
    seconds: Callable[[], float]
    pause: Callable[[float], None]
    tell: Callable[[str], None]


class _Named(msgspec.Struct):
    type: str
    id: str


_named: Final = msgspec.json.Decoder(_Named).decode


class Sender:
    """Sends batches and counts what became of them; not safe to share by threads.

    A platform that is away is asked again for five minutes. Sending a batch again is harmless:
    what was stored counts once.
    """

    def __init__(self, transport: Transport, *, rate: float | None) -> None:
        self._transport = transport
        self._rate = rate
        self._due = transport.seconds()
        self._known: dict[str, AbstractSet[str]] = {}
        self._begun = False
        self._newest: int | None = None
        self._refused: Counter[int] = Counter()
        self.batch_size = (
            BATCH if rate is None else max(1, min(BATCH, int(rate / _BATCHES_A_SECOND)))
        )
        self.counts: Counter[str] = Counter()
        self.rejected_before = 0
        self.problems: list[str] = []
        self.token = ""

    def send(self, batch: list[Replayed]) -> None:
        """Send one batch; what it breaks is noted with its row.

        Raises:
            AgentFlowError: The platform refuses, or was away for too long.
        """
        self._begin()
        self._keep_rate(len(batch))
        fresh = [event for event in batch if not self._waits(event)]
        if not fresh:
            return
        values = [event.value for event in fresh]
        receipt = self._patiently(lambda: self._transport.send(values))
        self.token = receipt.token
        self.counts.update(
            accepted=receipt.accepted, duplicates=receipt.duplicates, rejected=receipt.rejected
        )
        for outcome in receipt.rejections:
            event = fresh[outcome.index]
            if outcome.dead_letter is not None:
                self._refused[outcome.dead_letter] += 1
            words = event.problem or "; ".join(str(error) for error in outcome.errors)
            self.problems.append(f"row {event.row}: {words}")

    def settle(self) -> None:
        """Find out what of the rejected was a dead letter before this run.

        What is refused again is the dead letter it was: those are not among the newer ones.

        Raises:
            AgentFlowError: The platform refuses, or was away for too long.
        """
        newest, refused = self._newest, self._refused
        if newest is not None and refused:
            fresh = self._patiently(lambda: self._made_since(newest))
            self.rejected_before += sum(refused[each] for each in refused.keys() - fresh)
        self._refused = Counter()

    def _begin(self) -> None:
        """Note once which dead letter is the newest, before anything is sent."""
        if not self._begun:
            self._newest = self._patiently(self._transport.newest)
            self._begun = True

    def _made_since(self, newest: int) -> AbstractSet[int]:
        """Return which of the dead letters that were answered are newer than *newest*."""
        found: set[int] = set()
        for number in self._transport.since(newest):
            if number in self._refused:
                found.add(number)
            if len(found) == len(self._refused):
                break
        return found

    def _keep_rate(self, events: int) -> None:
        if self._rate is None:
            return
        now = self._transport.seconds()
        self._transport.pause(max(0.0, self._due - now))
        self._due = max(self._due, self._transport.seconds() - 1) + events / self._rate

    def _waits(self, event: Replayed) -> bool:
        """Tell whether a row that cannot be mapped is a dead letter of an earlier run."""
        if event.problem is None:
            return False
        name = _named(event.value)
        if name.type not in self._known:
            self._known[name.type] = self._patiently(lambda: self._transport.waiting(name.type))
        if name.id not in self._known[name.type]:
            return False
        self.counts["rejected"] += 1
        self.rejected_before += 1
        self.problems.append(f"row {event.row}: {event.problem}")
        return True

    def _patiently(self, call: Callable[[], _T]) -> _T:
        from agentflow_sdk import ProblemError, UnreachableError

        transport, delay = self._transport, _FIRST_DELAY_SECONDS
        deadline = transport.seconds() + PATIENCE_SECONDS
        while True:
            try:
                return call()
            except ProblemError as error:
                if error.status not in _TRANSIENT or transport.seconds() >= deadline:
                    raise
            except UnreachableError:
                if transport.seconds() >= deadline:
                    raise
            left = deadline - transport.seconds()
            transport.tell(f"the platform does not answer, trying again for {left:.0f} s")
            transport.pause(min(delay, max(left, 0.0)))
            delay = min(delay * 2, _LONGEST_DELAY_SECONDS)
