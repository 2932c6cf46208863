"""Contract text as a document in which every value still knows its line.

Only the part of YAML that a contract needs is read: no anchors, aliases, tags or second document,
and the scalars of YAML 1.2 (so `NO` is a country, `on` is a key and `2027-01-01` is text).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import TypeAlias

import yaml

from agentflow.errors import FileProblem
from agentflow.wording import quoted

KeyPath: TypeAlias = tuple[str | int, ...]
YamlValue: TypeAlias = "bool | int | float | str | list[YamlValue] | dict[str, YamlValue] | None"

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_MAX_DEPTH = 20
_MAX_SIZE_BYTES = 256 * 1024
_INTEGER = re.compile(r"[-+]?[0-9]{1,300}\Z")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?\Z")
_OPENED: Mapping[tuple[str, str], str] = {
    ("while parsing a flow sequence", "did not find expected ',' or ']'"): (
        'the list opened with "[" has no "," or "]" where one is needed'
    ),
    ("while parsing a flow mapping", "did not find expected ',' or '}'"): (
        'the mapping opened with "{" has no "," or "}" where one is needed'
    ),
    ("while parsing a flow node", "did not find expected node content"): (
        'after "[", "{" or "," a value or the closing bracket is missing'
    ),
    ("while scanning a quoted scalar", "found unexpected end of stream"): (
        "the quotation that begins here is not closed"
    ),
}
"""What libyaml says of what is opened and not closed, in words that name it."""
_CLOSE = "Close it; a text that begins with such a character stands in quotes."
_SHOWN = 60
_WORDS: Mapping[str, YamlValue] = {
    "": None,
    "~": None,
    "null": None,
    "Null": None,
    "NULL": None,
    "true": True,
    "True": True,
    "TRUE": True,
    "false": False,
    "False": False,
    "FALSE": False,
}


@dataclass(frozen=True, slots=True)
class SourceFile:
    """Where a contract was read from.

    Attributes:
        file: KeyPath inside the contracts directory, with forward slashes.
        lines: Key path → line, from 1.
    """

    file: str = "<memory>"
    text: str = ""
    lines: Mapping[KeyPath, int] = field(default_factory=dict)

    def line(self, *path: str | int) -> int:
        """Return the line of a key path or of its nearest parent; 0 means the whole file."""
        while path not in self.lines and path:
            path = path[:-1]
        return self.lines.get(path, 0)

    def problem(self, path: KeyPath, message: str, hint: str | None = None) -> FileProblem:
        """Describe one thing that is wrong at a key path."""
        return FileProblem(self.file, self.line(*path), message, hint)


@dataclass(frozen=True, slots=True)
class Document:
    """One YAML file as read, together with everything wrong with it so far."""

    source: SourceFile
    value: YamlValue
    problems: tuple[FileProblem, ...]


class _RefusedError(Exception):
    """Reading cannot go on after this problem."""

    def __init__(self, line: int, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.line = line
        self.hint = hint


def read(file: str, content: bytes) -> Document:
    """Read one contract file; what is wrong is returned, never raised."""
    try:
        text = _decode(content)
        reader = _Reader(file)
        value = reader.document(_events(text))
    except _RefusedError as error:
        problem = FileProblem(file, error.line, str(error), error.hint)
        return Document(SourceFile(file), None, (problem,))
    return Document(SourceFile(file, text, reader.lines), value, tuple(reader.problems))


def read_file(name: str, file: Path) -> Document:
    """Read one contract file from disk, and no more of it than may be in one.

    A file may be of any size, and say so wrongly: what is read is measured, not what is declared.
    Anything but a file (a broken link, a pipe, a folder) is a problem, and is not opened.
    """
    if not file.is_file():
        problem = FileProblem(name, 0, _no_file(file), "Rename or remove it, or put a file there.")
        return Document(SourceFile(name), None, (problem,))
    try:
        with file.open("rb") as opened:
            content = opened.read(_MAX_SIZE_BYTES + 1)
    except OSError as error:
        problem = FileProblem(name, 0, f"cannot be read: {error.strerror or error}")
        return Document(SourceFile(name), None, (problem,))
    return read(name, content)


def _no_file(file: Path) -> str:
    if file.is_symlink() and not file.exists():
        return "is a link to a file that does not exist"
    return "is a folder" if file.is_dir() else "is not a regular file"


def _decode(content: bytes) -> str:
    if len(content) > _MAX_SIZE_BYTES:
        message = f"file is longer than {_MAX_SIZE_BYTES} bytes"
        raise _RefusedError(0, message, "Keep one contract to a file.")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        message = f"file is not UTF-8: byte 0x{content[error.start]:02x} at offset {error.start}"
        raise _RefusedError(line, message, "Save the file as UTF-8.") from error


def _events(text: str) -> Iterator[yaml.Event]:
    try:
        yield from yaml.parse(text, Loader=_LOADER)
    except yaml.MarkedYAMLError as error:
        raise _not_yaml(text, error) from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise _RefusedError(line, f"not YAML: {error.reason}") from error


def _not_yaml(text: str, error: yaml.MarkedYAMLError) -> _RefusedError:
    """Return what is wrong, with the line; of what is not closed, the one that opened it."""
    opened = _OPENED.get((error.context or "", error.problem or ""))
    mark = error.context_mark if opened else error.problem_mark or error.context_mark
    lines = text.splitlines()
    number = min(mark.line, len(lines) - 1) if mark else -1
    while number > 0 and not lines[number].strip():
        number -= 1
    message = f"not YAML: {opened or error.problem or error.context}"
    if number < 0:
        return _RefusedError(0, message)
    shown = quoted(lines[number].strip()[:_SHOWN])
    return _RefusedError(number + 1, f"{message}, in {shown}", _CLOSE if opened else None)


class _Reader:
    """Builds one document out of parser events, remembering the line of every key path."""

    def __init__(self, file: str) -> None:
        self._file = file
        self.lines: dict[KeyPath, int] = {}
        self.problems: list[FileProblem] = []

    def document(self, events: Iterator[yaml.Event]) -> YamlValue:
        value: YamlValue = None
        count = 0
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                count += 1
                if count > 1:
                    raise _RefusedError(
                        _line(event),
                        "a second document begins here",
                        "Keep one contract to a file.",
                    )
                value = self._value(next(events), events, ())
        if count == 0:
            raise _RefusedError(0, "file is empty")
        return value

    def _value(self, event: yaml.Event, events: Iterator[yaml.Event], path: KeyPath) -> YamlValue:
        _refuse_cleverness(event)
        if len(path) > _MAX_DEPTH:
            raise _RefusedError(_line(event), f"nested deeper than {_MAX_DEPTH} levels")
        self.lines.setdefault(path, _line(event))
        if isinstance(event, yaml.MappingStartEvent):
            return self._mapping(events, path)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(events, path)
        if isinstance(event, yaml.ScalarEvent):
            return _scalar(event)
        raise _RefusedError(_line(event), "expected a value here")

    def _mapping(self, events: Iterator[yaml.Event], path: KeyPath) -> dict[str, YamlValue]:
        values: dict[str, YamlValue] = {}
        while not isinstance(event := next(events), yaml.MappingEndEvent):
            _refuse_cleverness(event)
            if not isinstance(event, yaml.ScalarEvent):
                raise _RefusedError(_line(event), "a key must be plain text")
            key = event.value
            if key in values:
                first = self.lines[*path, key]
                message = f"key {quoted(key)} is given twice, first on line {first}"
                self.problems.append(FileProblem(self._file, _line(event), message))
                self._value(next(events), events, (*path, f"{key} (again)"))
                continue
            self.lines[*path, key] = _line(event)
            values[key] = self._value(next(events), events, (*path, key))
        return values

    def _sequence(self, events: Iterator[yaml.Event], path: KeyPath) -> list[YamlValue]:
        values: list[YamlValue] = []
        while not isinstance(event := next(events), yaml.SequenceEndEvent):
            values.append(self._value(event, events, (*path, len(values))))
        return values


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark else 0


def _refuse_cleverness(event: yaml.Event) -> None:
    hint = "Write the value out where it is used."
    if isinstance(event, yaml.AliasEvent):
        raise _RefusedError(_line(event), "YAML aliases are not read", hint)
    if getattr(event, "anchor", None) is not None:
        raise _RefusedError(_line(event), "YAML anchors are not read", hint)
    tag = getattr(event, "tag", None)
    if tag is not None and tag != "!":
        raise _RefusedError(_line(event), f"YAML tag {quoted(tag)} is not read", "Remove the tag.")


def _scalar(event: yaml.ScalarEvent) -> YamlValue:
    text: str = event.value
    if not event.implicit[0]:
        return text
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.match(text):
        return int(text)
    if _FLOAT.match(text) and isfinite(number := float(text)):
        return number
    return text
