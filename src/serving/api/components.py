"""How each part of the platform fares, from what is known: nothing is waited for."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from typing import Final, Literal

from agentflow.supervision import Standing
from agentflow.wording import counted
from ingestion.log.port import VALIDATED
from processing.lake.follower import LakeFollower
from processing.platform import Platform
from processing.recovery.opening import Recovery
from processing.write.port import StreamState
from serving.api.shapes import ComponentShape

Status = Literal["ok", "degraded", "failing"]
LOW_SPACE_BYTES: Final = 512 * 1024 * 1024
_LAGGING_EVENTS: Final = 100_000
_LAGGING_SECONDS: Final = 5
_ORDER: Final[tuple[Status, ...]] = ("ok", "degraded", "failing")
_UNREADABLE: Final = frozenset({"lake-look", "lake-follower"})
"""When these fail, the lake cannot be read either."""
_LOST_FIX: Final = {
    "at start": "Look through the files that were moved aside; a restart clears this.",
    "meanwhile": "Send these events again if their source has them; a restart clears this.",
}
_STARTED_AGAIN: Final = "It is tried again by itself; the server's log has the whole failure."


def components(platform: Platform) -> dict[str, ComponentShape]:
    """Return the state of every part. Any thread; reads no file, but for a record of the log."""
    standings = platform.parts.supervisor.standings()
    found = {
        "log": _log(platform),
        "live": _live(platform),
        "lake": _lake(platform, standings),
        "control": _control(standings),
        "history": _history(standings),
    }
    stream = platform.intake.stream
    if stream is not None:
        found["stream"] = _stream(stream)
    for recovery in platform.parts.recoveries:
        found[recovery.component] = _recovered(found[recovery.component], recovery)
    return {name: _with(part, _of(name, standings)) for name, part in found.items()}


def worst(parts: Iterable[ComponentShape]) -> str:
    """Return the status of a whole."""
    return max((part.status for part in parts), key=_rank)


def _of(part: str, standings: Iterable[Standing]) -> list[Standing]:
    return [each for each in standings if each.part == part and each.state != "well"]


def _with(component: ComponentShape, ill: Sequence[Standing]) -> ComponentShape:
    """Add what fails in the background of a part; what failed a moment ago is still shown."""
    if not ill:
        return component
    detail = "; ".join(dict.fromkeys([component.detail, *(each.detail for each in ill)]))
    status = max(component.status, "degraded", key=_rank)
    return ComponentShape(status, detail, component.fix or _STARTED_AGAIN)


def _rank(status: str) -> int:
    return [str(known) for known in _ORDER].index(status)


def _recovered(component: ComponentShape, recovery: Recovery) -> ComponentShape:
    """Say what had to be repaired, until the next start."""
    detail = f"{component.detail}; repaired {recovery.when}: {recovery.detail}"
    if not recovery.lost:
        return ComponentShape(component.status, detail, component.fix)
    fix = component.fix or _LOST_FIX[recovery.when]
    return ComponentShape(max(component.status, "degraded", key=_rank), detail, fix)


def _log(platform: Platform) -> ComponentShape:
    free = shutil.disk_usage(platform.parts.data_dir).free
    if free < LOW_SPACE_BYTES:
        return ComponentShape(
            "degraded",
            f"{free // (1024 * 1024)} MiB are free on the disk",
            "Free some space: intake stops when the disk is full, and nothing is lost.",
        )
    end = platform.parts.log.end(VALIDATED)
    return ComponentShape("ok", f"the next offset is {end}; {free // 2**30} GiB free", None)


def _live(platform: Platform) -> ComponentShape:
    if not platform.ready:
        return ComponentShape("failing", "live state is being rebuilt", "Wait; it ends by itself.")
    plans = platform.definitions.plans.values()
    stale = [plan.contract.name for plan in plans if platform.stale(plan)]
    if stale:
        shown = ", ".join(sorted(stale)[:3]) + (" …" if len(stale) > 3 else "")  # noqa: PLR2004
        detail = f"{len(stale)} of {counted(len(plans), 'metric')} stale: {shown}"
        fix = "Events wait to become visible: see the other parts for what holds them up."
        return ComponentShape("degraded", detail, fix)
    waiting = platform.intake.backlog_events
    source = platform.rebuilt.source if platform.rebuilt else "nothing"
    why = platform.rebuilt.reason if platform.rebuilt else None
    started = f"started from the {source}{f' because {why}' if why else ''}"
    return ComponentShape("ok", f"{started}; {counted(waiting, 'event')} waiting", None)


def _lake(platform: Platform, standings: Iterable[Standing]) -> ComponentShape:
    keeper = platform.parts.lake
    failure = keeper.failure
    if failure is not None and isinstance(keeper, LakeFollower):
        fix = getattr(failure, "hint", None) or "See the server's log; it is asked again."
        return ComponentShape("failing", str(failure), fix)
    if any(each.name in _UNREADABLE and each.state == "failing" for each in standings):
        return ComponentShape("failing", "the lake cannot be read", _STARTED_AGAIN)
    if failure is not None:
        fix = "See the server's log; it is tried again at every interval."
        return ComponentShape("degraded", f"the last commit failed: {failure}", fix)
    if keeper.seen is None:
        return ComponentShape("degraded", "the lake has not been looked at yet", "Wait a moment.")
    if rivals := keeper.seen.rivals:
        detail = f"{len(rivals)} jobs write the lake: {', '.join(rivals)}"
        fix = "Cancel all but one: numbers are right, but every row is stored again."
        return ComponentShape("degraded", detail, fix)
    return _behind(platform)


def _behind(platform: Platform) -> ComponentShape:
    lag = platform.lake_lag()
    behind = f"{counted(lag.events, 'event')} behind the log"
    if lag.seconds > platform.lake_budget.total_seconds():
        budget = f"{platform.lake_budget.total_seconds():g}"
        detail = f"{behind}, by {lag.seconds:.0f} s; its budget is {budget} s"
        fix = "See that what writes the lake runs and keeps up; AGENTFLOW_LAKE_BUDGET_SECONDS."
        return ComponentShape("degraded", detail, fix)
    if lag.events > _LAGGING_EVENTS:
        return ComponentShape("degraded", behind, "Give it time.")
    return ComponentShape("ok", behind, None)


def _control(standings: Iterable[Standing]) -> ComponentShape:
    for each in standings:
        if each.name == "control-store" and each.state == "failing":
            fix = "Requests with an Idempotency-Key, triage and publishing fail; the rest goes on."
            return ComponentShape("failing", f"the last call failed: {each.reason}", fix)
    return ComponentShape("ok", "idempotency keys, triage and changelog are stored", None)


def _history(standings: Iterable[Standing]) -> ComponentShape:
    failing = [each for each in standings if each.state == "failing"]
    for each in failing:
        if each.part == "history":
            fix = "Answers of the past are 503 until the lake can be read; live numbers go on."
            return ComponentShape("failing", f"the last question failed: {each.reason}", fix)
        if each.name in _UNREADABLE:
            fix = "Live numbers go on; `as_of`, series and verify answer again once it can."
            return ComponentShape("failing", f"the lake cannot be read: {each.reason}", fix)
    return ComponentShape("ok", "the past is answered from the lake and the log", None)


def _stream(stream: StreamState) -> ComponentShape:
    behind = f"{counted(stream.raw_events, 'event')} behind, {stream.seconds or 0:.1f} s"
    if stream.failure is not None:
        return ComponentShape("failing", stream.failure, stream.fix or _STARTED_AGAIN)
    if stream.paused is not None:
        return ComponentShape("degraded", f"paused: {stream.paused}", "Free some disk space.")
    if not stream.connected:
        age = f"{stream.seconds or 0:.1f} s"
        detail = f"{stream.broker} does not answer; what is shown may be {age} old"
        return ComponentShape("degraded", detail, "Start a broker: it reads on by itself.")
    if (stream.seconds or 0) > _LAGGING_SECONDS:
        fix = "See that the job that judges events runs and keeps up."
        return ComponentShape("degraded", behind, fix)
    return ComponentShape("ok", behind, None)
