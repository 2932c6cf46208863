"""Answers as people read them in a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from agentflow.wording import counted
from agentflow_cli.output import number, say, signed, write_table

if TYPE_CHECKING:
    from agentflow_sdk import Answer, Point

_SECOND_MS = 1000
_MINUTE_MS = 60_000
_HOUR_MS = 3_600_000


def write_answer(answer: Answer) -> None:
    """Write the values to stdout, and to stderr what one must know to trust them."""
    if answer.series:
        points = [
            (
                point.start.isoformat(),
                dimensions(point.dimensions),
                number(point.value),
                _note(point),
            )
            for point in answer.series
        ]
        write_table(("start", "dimensions", "value", "note"), points)
    elif answer.groups:
        rows = [
            (dimensions(group.dimensions), number(group.value), group.unit or answer.unit or "")
            for group in answer.groups
        ]
        write_table(("dimensions", "value", "unit"), rows)
    else:
        write_table(("value", "unit"), [(number(answer.value), answer.unit or "")])
    if answer.left_out:
        more = f"--cursor {answer.next_cursor} shows the next, --limit more at once"
        say(f"{answer.left_out:,} more groups are left out; {more}")
    say(trust(answer))
    if answer.as_of is not None and answer.status == "partial":
        since = answer.known_from
        say(f"known from {since.isoformat()} on" if since else "no event has ever come")
    for warning in answer.warnings:
        say(f"warning: {warning.message}. {warning.hint}")


def trust(answer: Answer) -> str:
    """Return one line: window, status, age, contract, events, exactness."""
    contract = f"contract v{answer.contract.version} {answer.contract.status}"
    exact = "exact" if answer.exact else f"within {100 * (answer.error_bound or 0):.2g} %"
    window = answer.window.name or "the whole range"
    events = counted(answer.events, "event")
    past = answer.series or answer.as_of is not None or not answer.window.name
    moved = [] if past else _moved(answer)
    said = ", ".join([answer.status, *moved, events, exact, contract])
    return f"{answer.metric}, {window}: {said}"


def _note(point: Point) -> str:
    """Return what keeps a point from being a fact."""
    notes = [*(["partial"] if point.partial else []), point.status]
    return " ".join(note for note in notes if note != "fresh")


def _moved(answer: Answer) -> list[str]:
    """Return when the number moved, and for how long nothing has come that could move it.

    Without an age it is not known when. It never moved only if nothing came that could move it.
    """
    idle = answer.source_idle_ms
    if answer.age_ms is not None:
        words = [age(answer.age_ms)]
    elif answer.events:
        words = ["moved earlier"]
    else:
        words = ["never moved"] if idle is None else []
    if idle is not None and idle >= _MINUTE_MS and idle != answer.age_ms:
        words.append(f"its sources idle for {_length(idle)}")
    return words


def write_causes(answer: Answer) -> None:
    """Write the events that moved a metric last."""
    rows = [
        (
            cause.occurred_at.isoformat(),
            cause.type,
            cause.event_id,
            cause.source or "",
            signed(cause.moved),
            "" if cause.moved is None else cause.unit or "",
        )
        for cause in answer.causes
    ]
    write_table(("occurred", "event", "id", "source", "moved", "unit"), rows)


def dimensions(values: Mapping[str, object]) -> str:
    """Render as `country=DE currency=EUR`, the way a command takes it."""
    from agentflow.dimension_values import spelled

    return " ".join(f"{name}={spelled(value)}" for name, value in values.items())


def age(milliseconds: float) -> str:
    """Render as `moved 3 s ago`."""
    return f"moved {_length(milliseconds)} ago"


def _length(milliseconds: float) -> str:
    if milliseconds < _SECOND_MS:
        return f"{milliseconds:.0f} ms"
    if milliseconds < _MINUTE_MS:
        return f"{milliseconds / _SECOND_MS:.0f} s"
    if milliseconds < _HOUR_MS:
        return f"{milliseconds / _MINUTE_MS:.0f} min"
    return f"{milliseconds / _HOUR_MS:.0f} h"
