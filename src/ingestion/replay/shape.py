"""The shape of a mapping: how the rows of a file become events of the contracts."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from agentflow.contracts.base import FieldName, Frozen

CellType = Literal["string", "integer", "decimal", "number", "boolean", "timestamp", "date"]
Unit = Literal["us", "ms", "s", "m", "h", "d"]


Encoding = Literal["utf-8", "utf-16", "windows-1252", "iso-8859-1"]
_Character = Annotated[str, Field(min_length=1, max_length=1, pattern=r"^[^\r\n\x00]$")]


class Delimited(Frozen):
    """How a CSV or TSV file is written.

    Attributes:
        delimiter: Between cells; None means a comma, a tab in TSV files.
        quote: Around cells that hold delimiters or line ends; `none` when a quote is a character
            like any other.
        header: Names of the columns, of a file that does not begin with a line of them.
        trim: Take spaces off both ends of cells and of column names.
    """

    delimiter: _Character | None = None
    quote: _Character | Literal["none"] = '"'
    encoding: Encoding = "utf-8"
    header: tuple[str, ...] | None = Field(default=None, min_length=1)
    trim: bool = False


class Numbers(Frozen):
    """How numbers are written in text; numbers of JSON and Parquet are numbers already.

    Attributes:
        decimal: Before the fraction.
        thousands: Between groups of three digits; a number without any is fine too.
    """

    decimal: Literal[".", ","] = "."
    thousands: Literal[".", ",", " ", "'", "_"] | None = None

    @model_validator(mode="after")
    def _differ(self) -> Numbers:
        if self.decimal == self.thousands:
            raise ValueError("`decimal` and `thousands` are the same character")
        return self


class FileColumn(Frozen):
    """One column of the file.

    Attributes:
        header: Its name in the file, when that is not the name used here.
        numbers: How its numbers are written, instead of the mapping's `numbers`.
        scale: Digits kept after the point, for `decimal` only; more digits are a problem.
        nulls: Texts that mean "no value" here, instead of the mapping's.
        format: How a timestamp or date is written: a `strptime` pattern, `rfc3339` (the default),
            or `epoch_s`, `epoch_ms`, `epoch_us`.
        zone: IANA zone of a timestamp that is written without one.
    """

    type: CellType = "string"
    header: str | None = None
    scale: Annotated[int, Field(ge=0, le=9)] | None = None
    nulls: tuple[str, ...] | None = None
    format: str | None = None
    zone: str | None = None
    numbers: Numbers | None = None

    @model_validator(mode="after")
    def _settings_fit_the_type(self) -> FileColumn:
        if (self.type == "decimal") != (self.scale is not None):
            raise ValueError("`scale` goes with decimal columns, and only with them")
        if self.zone is not None and self.type != "timestamp":
            raise ValueError(f"`zone` is for timestamps, this column is {self.type}")
        if self.format is not None and self.type not in {"timestamp", "date"}:
            raise ValueError(f"`format` is for timestamps and dates, this column is {self.type}")
        if self.numbers is not None and self.type not in {"integer", "decimal", "number"}:
            raise ValueError(f"`numbers` is for numbers, this column is {self.type}")
        return self


class Lookup(Frozen):
    """A value found in a two-column CSV file beside the mapping (key, value; first line: names).

    Attributes:
        key: The named value to look up; a key the file does not have is a problem of that row.
    """

    file: str
    key: FieldName


class InstantColumn(Frozen):
    """A moment, put together in one of three ways.

    * `date` + `clock` + zone: wall-clock time on a date. `clock` is `HH:MM[:SS]` or `HMM`; 24:00 is
      midnight at the end of the date.
    * `clock` + `after` + zone: the first moment at or after another instant at which a clock there
      shows that time (files often give an arrival time without its date).
    * `start` + `plus` (+ `unit`): another instant and a number of units, which may be negative.

    Attributes:
        zone: IANA zone of the clock.
        zone_from: Or the named value that holds the zone.
    """

    date: str | None = None
    clock: str | None = None
    zone: str | None = None
    zone_from: FieldName | None = None
    after: FieldName | None = None
    start: FieldName | None = None
    plus: FieldName | None = None
    unit: Unit = "s"

    @model_validator(mode="after")
    def _is_one_of_the_three(self) -> InstantColumn:
        given = {
            name
            for name in ("date", "clock", "after", "start", "plus")
            if getattr(self, name) is not None
        }
        if given not in ({"date", "clock"}, {"clock", "after"}, {"start", "plus"}):
            raise ValueError(
                "give `date` and `clock`, or `clock` and `after`, or `start` and `plus`"
            )
        if "clock" in given and (self.zone is None) == (self.zone_from is None):
            raise ValueError("a clock needs either `zone` or `zone_from`")
        return self


class EventMapping(Frozen):
    """One event that a row may give.

    Attributes:
        type: Event type, `order.created` or pinned `order.created@1`.
        when: Condition over the named values; None means every row.
        id: Template; a row must give the same id each time, so that a second replay counts nothing.
        time: The instant (or timestamp column) at which it happened.
        data: Field of the event → expression over the named values.
    """

    type: str
    when: str | None = None
    id: str
    time: FieldName
    subject: str | None = None
    data: dict[FieldName, str]


class MappingContract(Frozen):
    """How the rows of a file become events.

    Columns, texts, lookups and instants are the *named values* of a row; conditions and data are
    expressions over them.

    Attributes:
        files: Names of files this mapping is for (`flights*.csv`), tried when none is asked for.
        source: CloudEvents source of the events; with their id it makes them unique.
        csv: How a CSV or TSV file is written.
        numbers: How numbers are written in text, in every column that does not say otherwise.
        row_number: Name under which the number of the row is known, from 1 without a header line;
            part of an id where a file has nothing better, and stable only while no row goes.
        nulls: Texts that mean "no value", in every column that does not say otherwise.
        texts: Name → template such as `{carrier}{flight}`; null when one of its parts is null.
        unclaimed: What a row is from which no event came: a problem to report, or nothing.
    """

    kind: Literal["mapping"]
    name: FieldName
    description: str = ""
    files: tuple[str, ...] = ()
    source: str
    csv: Delimited = Delimited()
    numbers: Numbers = Numbers()
    row_number: FieldName | None = None
    nulls: tuple[str, ...] = ("",)
    columns: dict[FieldName, FileColumn] = Field(min_length=1)
    texts: dict[FieldName, str] = Field(default_factory=dict)
    lookups: dict[FieldName, Lookup] = Field(default_factory=dict)
    instants: dict[FieldName, InstantColumn] = Field(default_factory=dict)
    events: tuple[EventMapping, ...] = Field(min_length=1)
    unclaimed: Literal["report", "skip"] = "report"

    @model_validator(mode="after")
    def _names_are_unique(self) -> MappingContract:
        taken: set[str] = set() if self.row_number is None else {self.row_number}
        for section in (self.columns, self.texts, self.lookups, self.instants):
            if twice := taken & set(section):
                raise ValueError(f"two named values are called {', '.join(sorted(twice))}")
            taken |= set(section)
        return self
