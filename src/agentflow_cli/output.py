"""Writing: data to stdout, words to stderr."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal

import click

SAID_SECONDS = 5.0


def emit(value: object) -> None:
    """Write a value as JSON, on one line when stdout is not a terminal."""
    indent = 2 if sys.stdout.isatty() else None
    click.echo(json.dumps(value, ensure_ascii=False, indent=indent, default=_plain))


def emit_line(value: object) -> None:
    """Write a value as one line of JSON, as streams do."""
    click.echo(json.dumps(value, ensure_ascii=False, default=_plain))


def say(text: str) -> None:
    """Tell a person something."""
    click.echo("\n".join(map(visible, text.split("\n"))), err=True)


def visible(text: str) -> str:
    r"""Return a text of others with what does not print written out: no event drives a terminal.

    >>> print(visible("Köln\u001b[31m"))
    Köln\x1b[31m
    """
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)


def write_table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write aligned columns; a header only when a person looks at it."""
    cells = [[_text(cell) for cell in row] for row in rows]
    widths = [
        max(len(row[index]) for row in [list(header), *cells]) for index in range(len(header))
    ]
    if sys.stdout.isatty():
        click.secho(_line(header, widths), dim=True)
    for row in cells:
        click.echo(_line(row, widths))


def number(value: Decimal | int | None) -> str:
    """Render a value exactly; `-` when there is none."""
    return "-" if value is None else _text(value)


def signed(value: Decimal | int | None) -> str:
    """Render a difference with its sign."""
    if value is None:
        return "-"
    return f"+{_text(value)}" if value > 0 else _text(value)


class Watch:
    """Something that is told how far a long thing is, and shows nothing."""

    def fraction(self, done: float) -> None:
        """Take in the fraction that is done, from 0 to 1."""

    def note(self, text: str) -> None:
        """Take in a few words."""


class Lines(Watch):
    """Says how far a long thing is, a line now and then: for a pipe, where a bar is noise."""

    def __init__(
        self, what: str, tell: Callable[[str], None], seconds: Callable[[], float]
    ) -> None:
        self._what, self._tell, self._seconds = what, tell, seconds
        self._said = seconds()
        self._fraction, self._note = 0.0, ""

    def fraction(self, done: float) -> None:
        """Take in the fraction that is done, from 0 to 1."""
        self._fraction = done
        self._say_now_and_then()

    def note(self, text: str) -> None:
        """Take in a few words."""
        self._note = text
        self._say_now_and_then()

    def _say_now_and_then(self) -> None:
        if self._seconds() - self._said < SAID_SECONDS:
            return
        self._said = self._seconds()
        words = f", {self._note}" if self._note else ""
        self._tell(f"{self._what}: {self._fraction:.0%}{words}")


@contextmanager
def progress(what: str) -> Iterator[Watch]:
    """Show on stderr how far something long is: a bar, or a line now and then."""
    if not sys.stderr.isatty():
        yield Lines(what, say, time.monotonic)
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[note]}"))
    console = Console(stderr=True)
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True) as bar:
        task = bar.add_task(what, total=1.0, note="")

        class Bar(Watch):
            def fraction(self, done: float) -> None:
                bar.update(task, completed=done)

            def note(self, text: str) -> None:
                bar.update(task, note=text)

        yield Bar()


@contextmanager
def counting(what: str, things: str) -> Iterator[Callable[[int, int], None]]:
    """Show on stderr how much of something long is done: a bar, or a line now and then."""
    if sys.stderr.isatty():
        with progress(what) as bar:

            def show(done: int, total: int) -> None:
                bar.fraction(done / total if total else 1.0)
                bar.note(f"{done} of {total} {things}")

            yield show
        return
    say(f"{what} …")
    tenths = 0

    def tell(done: int, total: int) -> None:
        nonlocal tenths
        if done < total and done * 10 // total > tenths:
            tenths = done * 10 // total
            say(f"{what}: {done} of {total} {things}")

    yield tell


@contextmanager
def waiting(what: str) -> Iterator[None]:
    """Show that something of unknown length runs, on a terminal only."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console

    with Console(stderr=True).status(what):
        yield


def _plain(value: object) -> object:
    return format(value, "f") if isinstance(value, Decimal) else str(value)


def _text(cell: object) -> str:
    if isinstance(cell, Decimal):
        return format(cell, "f")
    return "" if cell is None else visible(str(cell))


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()
