"""Time windows: half-open UTC ranges on event time that advance in fixed steps.

| length | step |
|---|---|
| up to 10 minutes | 5 seconds |
| up to 2 hours | 1 minute |
| up to 48 hours, and `today` | 15 minutes |
| longer | 1 day |

A rolling window ends at the end of the step that contains now: the newest events are always in it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from agentflow.errors import UnknownWindowError
from agentflow.wording import quoted

SECOND_US = 1_000_000
MINUTE_US = 60 * SECOND_US
HOUR_US = 60 * MINUTE_US
DAY_US = 24 * HOUR_US

_UNITS_US = {"s": SECOND_US, "m": MINUTE_US, "h": HOUR_US, "d": DAY_US}
_LENGTH = re.compile(r"([1-9][0-9]{0,4})([smhd])")
MAX_LENGTH_US = 400 * DAY_US
LENGTH_HINT = "Use a number and s, m, h or d, as in 1h, at most 400d"
_STEPS = ((10 * MINUTE_US, "5s"), (2 * HOUR_US, "1m"), (48 * HOUR_US, "15m"), (MAX_LENGTH_US, "1d"))
BEGINNING_US = -(2**62)
END_US = 2**62


@dataclass(frozen=True, slots=True)
class Window:
    """A declared window.

    Attributes:
        name: As contracts write it: `5m`, `24h`, `today`, `all`.
        length_us: Its length; 0 for `all`.
        step_us: How far it moves at a time; 0 for `all`, which never moves.
    """

    name: str
    length_us: int
    step_us: int

    def bounds(self, now_us: int) -> tuple[int, int]:
        """Return `[start, end)` in microseconds for a reader whose clock says *now_us*."""
        if self.step_us == 0:
            return BEGINNING_US, END_US
        if self.name == "today":
            start = now_us - now_us % DAY_US
            return start, start + DAY_US
        end = now_us - now_us % self.step_us + self.step_us
        return end - self.length_us, end


def parse_window(name: str) -> Window:
    """Read a window name.

    >>> parse_window("1h").step_us == MINUTE_US
    True

    Raises:
        UnknownWindowError: Not a window name, longer than 400 days, or not whole steps.
    """
    if name == "all":
        return Window(name, 0, 0)
    length_us = DAY_US if name == "today" else parse_length(name)
    step_us = parse_length(step_of(name))
    if length_us % step_us:
        raise UnknownWindowError(
            f"window {quoted(name)} is not a whole number of its steps",
            hint="Windows up to 10m step by 5s, up to 2h by 1m, up to 48h by 15m, longer by 1d.",
        )
    return Window(name, length_us, step_us)


def step_of(name: str) -> str:
    """Return how far a window of that name moves at a time.

    >>> step_of("1h"), step_of("today"), step_of("7d"), step_of("all")
    ('1m', '15m', '1d', 'never')

    Raises:
        UnknownWindowError: If it is not a length, or longer than 400 days.
    """
    if name == "all":
        return "never"
    length_us = DAY_US if name == "today" else parse_length(name)
    return next(step for limit_us, step in _STEPS if length_us <= limit_us)


def parse_length(name: str) -> int:
    """Read `5m`, `1h`, `2d` into microseconds; used for windows and for grains.

    Raises:
        UnknownWindowError: If it is not a length, or longer than 400 days.
    """
    found = _LENGTH.fullmatch(name)
    length_us = int(found[1]) * _UNITS_US[found[2]] if found else 0
    if not 0 < length_us <= MAX_LENGTH_US:
        raise UnknownWindowError(
            f"{quoted(name)} is not a length of time",
            hint=f"{LENGTH_HINT}.",
        )
    return length_us
