"""The query string of a metric read: every parameter it may have, and no other."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, Literal
from urllib.parse import parse_qsl

from agentflow.clock import from_datetime, to_rfc3339
from agentflow.errors import InstantRangeError, ParameterError
from agentflow.spelling import integer_hint, read_integer
from agentflow.wording import quoted
from serving.read.group_pages import MAX_GROUPS

RESERVED: Final = (
    "as_of", "at_least", "by", "cursor", "end", "explain", "grain", "limit", "start", "version",
    "window",
)  # fmt: skip
MAX_PARAMETERS: Final = 64
EARLIEST_US: Final = from_datetime(datetime(1000, 1, 1, tzinfo=UTC))
LATEST_US: Final = from_datetime(datetime(9000, 1, 1, tzinfo=UTC))
"""Wide enough for any event, and every window around it ends in a year with four digits."""
_INSTANT: Final = re.compile(
    r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(\.\d{1,9})?([Zz]|[+-]\d{2}:\d{2})"
)
LATEST_VERSION: Final = 999_999_999


@dataclass(frozen=True, slots=True)
class MetricParameters:
    """What was asked, before it is checked against the contract.

    Attributes:
        where: Every parameter that is not a reserved one: a dimension and its wanted value.
    """

    name: str
    version: int | None = None
    window: str | None = None
    where: Mapping[str, str] = field(default_factory=dict)
    by: tuple[str, ...] = ()
    limit: int | None = None
    cursor: str | None = None
    grain: str | None = None
    start_us: int | None = None
    end_us: int | None = None
    as_of_us: int | None = None
    at_least: str | None = None
    explain: Literal["full"] | None = None

    @property
    def live(self) -> bool:
        """Whether live state alone can answer it, without waiting."""
        return (
            self.grain is None
            and self.start_us is None
            and self.end_us is None
            and self.as_of_us is None
            and self.at_least is None
            and self.explain is None
        )


def parse_metric_parameters(name: str, query: bytes) -> MetricParameters:
    """Read the query string of `GET /v1/metrics/{name}`.

    Raises:
        ParameterError: A parameter is malformed or given twice, or they contradict each other.
    """
    given = parse_query(query)
    parameters = MetricParameters(
        name=name,
        version=whole_number("version", given.get("version"), most=LATEST_VERSION),
        window=given.get("window"),
        where={key: value for key, value in given.items() if key not in RESERVED},
        by=tuple(part for part in given.get("by", "").split(",") if part),
        limit=whole_number("limit", given.get("limit"), most=MAX_GROUPS),
        cursor=given.get("cursor"),
        grain=given.get("grain"),
        start_us=instant("start", given.get("start")),
        end_us=instant("end", given.get("end")),
        as_of_us=instant("as_of", given.get("as_of")),
        at_least=given.get("at_least"),
        explain=_explain(given.get("explain")),
    )
    _require_sense(parameters)
    return parameters


def parse_query(query: bytes) -> dict[str, str]:
    """Read a query string into single values.

    Raises:
        ParameterError: It is not UTF-8, too long, or names a parameter twice.
    """
    try:
        pairs = parse_qsl(
            query.decode("latin-1"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=MAX_PARAMETERS,
        )
    except ValueError as error:
        raise ParameterError(
            "the query string cannot be read",
            hint=f"Percent-encode UTF-8, and send at most {MAX_PARAMETERS} parameters.",
        ) from error
    given = dict(pairs)
    if len(given) != len(pairs):
        names = [key for key, _ in pairs]
        twice = next(key for key in names if names.count(key) > 1)
        raise ParameterError(
            f"parameter {quoted(twice)} is given twice", hint="Give each parameter once."
        )
    return given


def instant(name: str, text: str | None) -> int | None:
    """Read an RFC 3339 instant into microseconds since the epoch.

    >>> instant("start", "1970-01-01T00:00:01Z")
    1000000

    Raises:
        ParameterError: It is not one.
        InstantRangeError: It lies outside the years 1000 to 8999.
    """
    if text is None:
        return None
    wrong = ParameterError(
        f"parameter {quoted(name)} is not an instant",
        hint="Write RFC 3339 with a zone, as in 2026-01-31T10:00:00Z, percent-encoding a plus.",
    )
    if _INSTANT.fullmatch(text) is None:
        raise wrong
    try:
        instant_us = from_datetime(datetime.fromisoformat(text.upper()).astimezone(UTC))
    except ValueError:
        raise wrong from None
    except OverflowError:  # in another zone it is in the year 0 or 10000
        instant_us = LATEST_US
    if not EARLIEST_US <= instant_us < LATEST_US:
        raise InstantRangeError(
            f"parameter {quoted(name)} is outside of what can be asked about",
            hint=f"It must be in [{to_rfc3339(EARLIEST_US)}, {to_rfc3339(LATEST_US)}).",
        )
    return instant_us


def require_past(name: str, instant_us: int | None, *, now_us: int) -> None:
    """Refuse an instant in the future: what will be known then is not known yet.

    Raises:
        InstantRangeError: It is after *now_us*.
    """
    if instant_us is not None and instant_us > now_us:
        raise InstantRangeError(
            f"parameter {quoted(name)} is in the future",
            hint=f"The platform's clock says {to_rfc3339(now_us)}; leave it out for the present.",
        )


def whole_number(name: str, text: str | None, *, most: int) -> int | None:
    """Read a whole number from 1 on.

    Raises:
        ParameterError: It is none, or not written as JSON writes it.
    """
    if text is None:
        return None
    try:
        value = read_integer(text)
    except ValueError:
        value = 0
    if not 1 <= value <= most:
        raise ParameterError(
            f"parameter {quoted(name)} is not a whole number from 1 to {most}",
            hint=integer_hint(text, least=1, most=most),
        )
    return value


def _explain(text: str | None) -> Literal["full"] | None:
    if text is None:
        return None
    if text != "full":
        raise ParameterError(
            'parameter "explain" can only be "full"', hint="Leave it out, or pass explain=full."
        )
    return "full"


def _require_sense(parameters: MetricParameters) -> None:
    start_us, end_us = parameters.start_us, parameters.end_us
    if (start_us is None) != (end_us is None):
        raise ParameterError('"start" and "end" belong together', hint="Give both or neither.")
    if start_us is not None and end_us is not None and start_us >= end_us:
        raise ParameterError('"start" is not before "end"', hint="The range is [start, end).")
    if parameters.window is not None and start_us is not None:
        raise ParameterError(
            'a range and a "window" contradict each other', hint="Give one of them."
        )
    past = parameters.grain or start_us is not None or parameters.as_of_us is not None
    if parameters.explain and past:
        raise ParameterError(
            '"explain" is about the live number, not about a series, a range or the past',
            hint="Leave out grain, start, end and as_of.",
        )
