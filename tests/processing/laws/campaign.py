"""Run random streams through the live engine and DuckDB and compare; say how to repeat a failure.

python -m tests.processing.laws.campaign --streams 4000
python -m tests.processing.laws.campaign --pack shop --seed 17
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from agentflow.contracts import Registry
from agentflow.events import Event
from agentflow.lint import load
from agentflow.metrics import hash_map, ordered, state
from processing.definitions import Definitions
from processing.lake.columns import layout
from processing.live import GroupKey, LiveEngine, snapshot
from processing.live.corrections import Corrections
from processing.verification.checks import Check, Cut, take_cut
from tests.processing.laws.recompute import Recompute
from tests.processing.laws.streams import (
    START_US,
    Arrive,
    MetricId,
    Read,
    Redeliver,
    Restart,
    Step,
    Stream,
    Wait,
    random_stream,
)
from tests.processing.laws.streams import Cut as CutHere

ROOT = Path(__file__).parents[3]
PACKS = {
    "shop": ROOT / "contracts",
    "flights": ROOT / "examples" / "flights" / "contracts",
    "corners": Path(__file__).parent / "contracts",
}
METRICS_AT_ONCE = 3
COMMAND = "uv run --frozen python -m tests.processing.laws.campaign --pack {pack} --seed {seed}"


class ListedGroups:
    """A group log over a list, as the platform's is over the log: groups evicted are found here."""

    def __init__(self, definitions: Definitions) -> None:
        self.log: list[tuple[int, Event]] = []
        self._gate = definitions.gate
        contracts = definitions.registry.events.values()
        self._groups = {
            (contract.corrects.ref, contract.corrects.on): {contract.corrects.ref}
            for contract in contracts
            if contract.corrects
        }
        for contract in contracts:
            if contract.supersedes:
                self._groups[contract.ref, contract.supersedes.on] = {contract.ref}
        for contract in contracts:
            if contract.corrects:
                self._groups[contract.corrects.ref, contract.corrects.on].add(contract.ref)

    def groups(
        self, keys: Collection[GroupKey], *, before: int
    ) -> Mapping[GroupKey, Sequence[Event]]:
        return {key: self._group(key, before) for key in keys}

    def _group(self, key: GroupKey, before: int) -> Sequence[Event]:
        return [
            self._gate.decode(event.ref, self._gate.encode(event))
            for offset, event in self.log
            if offset < before
            and event.tenant == key.tenant
            and event.ref in self._groups[key.base, key.on]
            and getattr(event.data, key.on) == key.value
        ]


@dataclass(frozen=True)
class Failure:
    """Numbers that differ, and the shortest stream found in which they still do."""

    stream: Stream
    checks: Sequence[Check]

    def text(self, pack: str) -> str:
        """Return what a person needs to see and repeat it."""
        command = COMMAND.format(pack=pack, seed=self.stream.seed)
        lines = [f"live and recompute differ; repeat with: {command}"]
        lines += [f"  {step}" for step in self.stream.steps]
        for check in self.checks:
            cut = check.cut
            lines.append(
                f"{cut.plan.id} {cut.tenant} {cut.window} [{cut.start_us}, {cut.end_us})"
                f" by {cut.by} up to {cut.next_offset}"
            )
            lines += [f"  {difference}" for difference in check.differences]
        return "\n".join(lines)


class Law:
    """Live equals recompute, for one directory of contracts."""

    def __init__(self, registry: Registry) -> None:
        self.definitions = Definitions.compile(registry)
        layouts = {ref: layout(contract) for ref, contract in registry.events.items()}
        self._recompute = Recompute(registry.events, layouts)
        self.numbers = 0

    @property
    def metrics(self) -> list[MetricId]:
        return sorted(self.definitions.plans)

    def stream(self, seed: int) -> Stream:
        """Return the stream of a seed; consecutive seeds take turns through all metrics."""
        metrics = self.metrics
        first = seed * METRICS_AT_ONCE
        chosen = {metrics[(first + n) % len(metrics)] for n in range(METRICS_AT_ONCE)}
        return random_stream(seed, self.definitions, sorted(chosen))

    def holds(self, seed: int) -> bool:
        """Run one stream and tell whether everything is equal."""
        with _limits_of(seed):
            return not self.differing(self.stream(seed))

    def failure(self, seed: int) -> Failure | None:
        """Run one stream; on a difference, leave out what is not needed for it."""
        with _limits_of(seed):
            stream = self.stream(seed)
            checks = self.differing(stream)
            return Failure(*self._shrunk(stream, checks)) if checks else None

    def differing(self, stream: Stream) -> list[Check]:
        cuts, log = self.run(stream)
        checks = self._recompute.checks(cuts, log)
        self.numbers += sum(check.numbers for check in checks)
        return [check for check in checks if not check.equal]

    def _shrunk(self, stream: Stream, checks: list[Check]) -> tuple[Stream, list[Check]]:
        index = 0
        while index < len(stream.steps):
            steps = [*stream.steps[:index], *stream.steps[index + 1 :]]
            fewer = Stream(stream.seed, stream.metrics, steps)
            still = self.differing(fewer)
            if still:
                stream, checks = fewer, still
            else:
                index += 1
        return stream, checks

    def run(self, stream: Stream) -> tuple[list[Cut], list[tuple[int, Event]]]:
        """Run the live engine through a stream; return the cuts that were taken, and the log."""
        running = _Running(self.definitions, stream)
        for step in stream.steps:
            running.take(step)
        return running.cuts, running.groups.log

    def close(self) -> None:
        self._recompute.close()


class _Running:
    """A live engine in the middle of a stream."""

    def __init__(self, definitions: Definitions, stream: Stream) -> None:
        self.cuts: list[Cut] = []
        self.groups = ListedGroups(definitions)
        self._definitions = definitions
        self._metrics = stream.metrics
        self._now_us = self._latest_us = START_US
        self._seen: set[bytes] = set()
        self._groups_kept = 2 if stream.seed % 3 == 0 else 1_000
        self._engine = self._new_engine()

    def _new_engine(self) -> LiveEngine:
        definitions = self._definitions
        corrections = Corrections(
            definitions.registry.events.values(),
            amend=definitions.gate.amended,
            log=self.groups,
            groups_kept=self._groups_kept,
        )
        plans = [definitions.plans[metric] for metric in self._metrics]
        return LiveEngine(plans, corrections=corrections, now_us=self._now_us)

    def take(self, step: Step) -> None:
        match step:
            case Arrive(event=event, identity=identity):
                if identity in self._seen:
                    return
                self._seen.add(identity)
                last = self.groups.log[-1][0] if self.groups.log else -1
                offset = last + 1 + (event.occurred_us % 7 == 0)
                self.groups.log.append((offset, event))
                self._latest_us = max(self._latest_us, self._now_us)
                self._engine.apply([(offset, event)], now_us=self._now_us)
            case Wait(duration_us=duration_us):
                self._now_us += duration_us
            case Read(metric=metric, tenant=tenant):
                self._latest_us = max(self._latest_us, self._now_us)
                for chosen in self._metrics if metric is None else (metric,):
                    self._engine.read(chosen, tenant, now_us=self._now_us)
            case Redeliver(count=count):
                self._latest_us = max(self._latest_us, self._now_us)
                self._engine.apply(self.groups.log[-count:], now_us=self._now_us)
            case Restart():
                self._restart()
            case CutHere(tenant=tenant, metric=metric):
                self._cut(tenant, self._metrics if metric is None else (metric,))

    def _restart(self) -> None:
        self._now_us = self._latest_us = max(self._now_us, self._latest_us)
        meanings = {metric: self._definitions.meanings[metric] for metric in self._metrics}
        gate = self._definitions.gate
        before = {
            (metric, tenant): list(self._engine.settled(metric, tenant).causes)
            for tenant in self._engine.tenants()
            for metric in self._metrics
        }
        content = snapshot.dump(self._engine, log_id="log", fingerprints=meanings, gate=gate)
        self._engine = self._new_engine()
        reason = snapshot.restore(
            self._engine, content, log_id="log", fingerprints=meanings, gate=gate, end=10**9
        )
        assert reason is None, reason
        for (metric, tenant), causes in before.items():
            assert list(self._engine.state(metric, tenant).causes) == causes

    def _cut(self, tenant: str, metrics: Sequence[MetricId]) -> None:
        self._latest_us = max(self._latest_us, self._now_us)
        for metric in metrics:
            state = self._engine.read(metric, tenant, now_us=self._now_us)
            plan = state.plan
            shortest = (plan.currency,) if plan.currency else ()
            for window in plan.windows:
                assert state.bounds(window.name) == expected_bounds(window.name, self._latest_us)
                for by in dict.fromkeys([plan.dimensions, shortest]):
                    self.cuts.append(
                        take_cut(
                            state,
                            tenant=tenant,
                            window=window.name,
                            next_offset=self._engine.next_offset,
                            by=by,
                            where={},
                        )
                    )


def expected_bounds(window: str, now_us: int) -> tuple[int, int]:
    """Return where a window stands, from the table in the reference page."""
    if window == "all":
        return -(2**62), 2**62
    second_us, day_us = 1_000_000, 86_400_000_000
    midnight_us = now_us // day_us * day_us
    if window == "today":
        return midnight_us, midnight_us + day_us
    units = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
    seconds = int(window[:-1]) * units[window[-1]]
    step = (
        5 if seconds <= 600 else 60 if seconds <= 7_200 else 900 if seconds <= 172_800 else 86_400
    )
    end_us = (now_us // (step * second_us) + 1) * step * second_us
    return end_us - seconds * second_us, end_us


@contextmanager
def limits(multiset: int, distinct: int, page: int) -> Iterator[None]:
    """Let states count as large from a few values on, so that short streams get there."""
    before = state.ORDERED_ABOVE, state.HASHED_ABOVE, ordered.PAGE, hash_map.PAGE
    state.ORDERED_ABOVE, state.HASHED_ABOVE, ordered.PAGE = multiset, distinct, page
    hash_map.PAGE = page
    try:
        yield
    finally:
        state.ORDERED_ABOVE, state.HASHED_ABOVE, ordered.PAGE, hash_map.PAGE = before


def _limits_of(seed: int) -> AbstractContextManager[None]:
    return limits(2, 3, 2) if seed % 3 == 2 else limits(4_096, 65_536, 512)


def run(pack: str, seeds: Sequence[int]) -> tuple[int, Failure | None]:
    """Run streams until one differs; return how many numbers were compared, and the failure."""
    law = Law(load(PACKS[pack]))
    try:
        for seed in seeds:
            if failure := law.failure(seed):
                return law.numbers, failure
        return law.numbers, None
    finally:
        law.close()


def main() -> int:
    """Run a campaign over both packs, or repeat one seed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pack", choices=sorted(PACKS))
    parser.add_argument("--streams", type=int, default=300)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seed", type=int)
    asked = parser.parse_args()
    seeds = range(asked.first, asked.first + asked.streams)
    for pack in [asked.pack] if asked.pack else sorted(PACKS):
        started = time.monotonic()
        numbers, failure = run(pack, [asked.seed] if asked.seed is not None else seeds)
        if failure:
            print(failure.text(pack))
            return 1
        seconds = time.monotonic() - started
        print(f"{pack}: {numbers} numbers equal, {seconds:.0f} s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
