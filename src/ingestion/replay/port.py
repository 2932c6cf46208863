"""What a replay needs of a reader of files: rows, and what stands in the place of one."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from ingestion.replay.cells import Cell


@dataclass(frozen=True, slots=True)
class FileRow:
    """One row, counted from 1 without any header line."""

    number: int
    cells: Mapping[str, Cell]


@dataclass(frozen=True, slots=True)
class BadRow:
    """Something in the place of a row that is none."""

    number: int
    text: str
    problem: str


class RowReader(Protocol):
    """The rows of one open file, in file order."""

    columns: tuple[str, ...] | None
    """Column names, when the format has them up front."""

    @abstractmethod
    def __iter__(self) -> Iterator[FileRow | BadRow]: ...
