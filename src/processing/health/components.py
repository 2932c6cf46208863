"""How each part of the platform is doing, from what is known already: nothing is waited for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from agentflow.supervision import ActivityStatus
from agentflow.wording import counted
from processing.health.state import Health
from processing.recovery.opening import Recovery
from processing.write.port import StreamState

ComponentStatus = Literal["ok", "degraded", "failing"]
LOW_SPACE_BYTES: Final = 512 * 1024 * 1024
_LAGGING_EVENTS: Final = 100_000
_LAGGING_SECONDS: Final = 5
_ORDER: Final[tuple[ComponentStatus, ...]] = ("ok", "degraded", "failing")
_UNREADABLE: Final = frozenset({"lake-look", "lake-follower"})
"""When these fail, the lake cannot be read either."""
_LOST_FIX: Final = {
    "at start": "Look through the files that were moved aside; a restart clears this.",
    "meanwhile": "Send these events again if their source has them; a restart clears this.",
}
_STARTED_AGAIN: Final = "It is tried again by itself; the server's log has the whole failure."


@dataclass(frozen=True, slots=True)
class ComponentHealth:
    """How one part is doing, and what to do about it.

    Attributes:
        fix: What a person can do; None while all is well.
    """

    status: str
    detail: str
    fix: str | None


def components(health: Health) -> dict[str, ComponentHealth]:
    """Return the state of every part. Any thread; reads no file, but for a record of the log."""
    statuses = health.statuses()
    found = {
        "log": _log(health),
        "live": _live(health),
        "lake": _lake(health, statuses),
        "control": _control(statuses),
        "history": _history(statuses),
    }
    stream = health.platform.intake.stream
    if stream is not None:
        found["stream"] = _stream(stream)
    for recovery in health.recoveries:
        found[recovery.component] = _recovered(found[recovery.component], recovery)
    return {name: _with(part, _of(name, statuses)) for name, part in found.items()}


def worst(parts: Iterable[ComponentHealth]) -> str:
    """Return the status of a whole."""
    return max((part.status for part in parts), key=_rank)


def _of(part: str, statuses: Iterable[ActivityStatus]) -> list[ActivityStatus]:
    return [each for each in statuses if each.part == part and each.state != "well"]


def _with(component: ComponentHealth, ill: Sequence[ActivityStatus]) -> ComponentHealth:
    """Add what fails in the background of a part; what failed a moment ago is still shown."""
    if not ill:
        return component
    detail = "; ".join(dict.fromkeys([component.detail, *(each.detail for each in ill)]))
    status = max(component.status, "degraded", key=_rank)
    return ComponentHealth(status, detail, component.fix or _STARTED_AGAIN)


def _rank(status: str) -> int:
    return [str(known) for known in _ORDER].index(status)


def _recovered(component: ComponentHealth, recovery: Recovery) -> ComponentHealth:
    """Say what had to be repaired, until the next start."""
    detail = f"{component.detail}; repaired {recovery.when}: {recovery.detail}"
    if not recovery.lost:
        return ComponentHealth(component.status, detail, component.fix)
    fix = component.fix or _LOST_FIX[recovery.when]
    return ComponentHealth(max(component.status, "degraded", key=_rank), detail, fix)


def _log(health: Health) -> ComponentHealth:
    free = health.free_bytes
    if free < LOW_SPACE_BYTES:
        return ComponentHealth(
            "degraded",
            f"{free // (1024 * 1024)} MiB are free on the disk",
            "Free some space: intake stops when the disk is full, and nothing is lost.",
        )
    end = health.log_end
    return ComponentHealth("ok", f"the next offset is {end}; {free // 2**30} GiB free", None)


def _live(health: Health) -> ComponentHealth:
    platform = health.platform
    if not platform.ready:
        return ComponentHealth("failing", "live state is being rebuilt", "Wait; it ends by itself.")
    plans = platform.definitions.plans.values()
    stale = [plan.contract.name for plan in plans if health.stale(plan)]
    if stale:
        shown = ", ".join(sorted(stale)[:3]) + (" …" if len(stale) > 3 else "")  # noqa: PLR2004
        detail = f"{len(stale)} of {counted(len(plans), 'metric')} stale: {shown}"
        fix = "Events wait to become visible: see the other parts for what holds them up."
        return ComponentHealth("degraded", detail, fix)
    waiting = platform.intake.backlog_events
    source = platform.rebuilt.source if platform.rebuilt else "nothing"
    why = platform.rebuilt.reason if platform.rebuilt else None
    started = f"started from the {source}{f' because {why}' if why else ''}"
    return ComponentHealth("ok", f"{started}; {counted(waiting, 'event')} waiting", None)


def _lake(health: Health, statuses: Iterable[ActivityStatus]) -> ComponentHealth:
    lake = health.lake
    failure = lake.failure
    if failure is not None and not lake.readable:
        fix = getattr(failure, "hint", None) or "See the server's log; it is asked again."
        return ComponentHealth("failing", str(failure), fix)
    if any(each.name in _UNREADABLE and each.state == "failing" for each in statuses):
        return ComponentHealth("failing", "the lake cannot be read", _STARTED_AGAIN)
    if failure is not None:
        fix = "See the server's log; it is tried again at every interval."
        return ComponentHealth("degraded", f"the last commit failed: {failure}", fix)
    if lake.seen is None:
        return ComponentHealth("degraded", "the lake has not been looked at yet", "Wait a moment.")
    if rivals := lake.seen.rivals:
        detail = f"{len(rivals)} jobs write the lake: {', '.join(rivals)}"
        fix = "Cancel all but one: numbers are right, but every row is stored again."
        return ComponentHealth("degraded", detail, fix)
    return _behind(health)


def _behind(health: Health) -> ComponentHealth:
    lag = health.lake_lag()
    behind = f"{counted(lag.events, 'event')} behind the log"
    if lag.seconds > health.lake_budget.total_seconds():
        budget = f"{health.lake_budget.total_seconds():g}"
        detail = f"{behind}, by {lag.seconds:.0f} s; its budget is {budget} s"
        fix = "See that what writes the lake runs and keeps up; AGENTFLOW_LAKE_BUDGET_SECONDS."
        return ComponentHealth("degraded", detail, fix)
    if lag.events > _LAGGING_EVENTS:
        return ComponentHealth("degraded", behind, "Give it time.")
    return ComponentHealth("ok", behind, None)


def _control(statuses: Iterable[ActivityStatus]) -> ComponentHealth:
    for each in statuses:
        if each.name == "control-store" and each.state == "failing":
            fix = "Requests with an Idempotency-Key, triage and publishing fail; the rest goes on."
            return ComponentHealth("failing", f"the last call failed: {each.reason}", fix)
    return ComponentHealth("ok", "idempotency keys, triage and changelog are stored", None)


def _history(statuses: Iterable[ActivityStatus]) -> ComponentHealth:
    failing = [each for each in statuses if each.state == "failing"]
    for each in failing:
        if each.part == "history":
            fix = "Answers of the past are 503 until the lake can be read; live numbers go on."
            return ComponentHealth("failing", f"the last question failed: {each.reason}", fix)
        if each.name in _UNREADABLE:
            fix = "Live numbers go on; `as_of`, series and verify answer again once it can."
            return ComponentHealth("failing", f"the lake cannot be read: {each.reason}", fix)
    return ComponentHealth("ok", "the past is answered from the lake and the log", None)


def _stream(stream: StreamState) -> ComponentHealth:
    behind = f"{counted(stream.raw_events, 'event')} behind, {stream.seconds or 0:.1f} s"
    if stream.failure is not None:
        return ComponentHealth("failing", stream.failure, stream.fix or _STARTED_AGAIN)
    if stream.paused is not None:
        return ComponentHealth("degraded", f"paused: {stream.paused}", "Free some disk space.")
    if not stream.connected:
        age = f"{stream.seconds or 0:.1f} s"
        detail = f"{stream.broker} does not answer; what is shown may be {age} old"
        return ComponentHealth("degraded", detail, "Start a broker: it reads on by itself.")
    if (stream.seconds or 0) > _LAGGING_SECONDS:
        fix = "See that the job that judges events runs and keeps up."
        return ComponentHealth("degraded", behind, fix)
    return ComponentHealth("ok", behind, None)
