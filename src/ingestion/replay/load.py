"""Mappings from `mappings/*.yaml` of a contracts directory, checked against the contracts."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from fnmatch import fnmatch
from pathlib import Path

from agentflow.contracts import Registry
from agentflow.contracts.shape import checked
from agentflow.contracts.source import Document, read_file
from agentflow.errors import ContractFilesError, FileProblem, ParameterError, UnknownContractError
from agentflow.wording import counted, quoted
from ingestion.replay.check import problems_of
from ingestion.replay.mapping import RowMapping
from ingestion.replay.shape import MappingContract
from ingestion.replay.values import Tables

FOLDER = "mappings"
_COLUMNS = 2
_MAX_LOOKUP_BYTES = 64 * 1024 * 1024


def read_mappings(contracts_dir: Path, registry: Registry) -> Mapping[str, RowMapping]:
    """Read every mapping kept beside the contracts, by name; none is fine.

    Raises:
        ContractFilesError: Something is wrong; it lists all problems of all files.
    """
    mappings: dict[str, RowMapping] = {}
    problems: list[FileProblem] = []
    for file in sorted((contracts_dir / FOLDER).glob("*.y*ml")):
        document = read_file(f"{FOLDER}/{file.name}", file)
        contract, tables, found = _checked(document, file.parent, registry)
        if contract is not None and contract.name in mappings:
            message = f"mapping {quoted(contract.name)} is given twice"
            found = [*found, document.source.problem(("name",), message)]
        problems += found
        if contract is not None and not found:
            mappings[contract.name] = RowMapping.of(contract, tables)
    if problems:
        raise ContractFilesError(problems)
    return mappings


def mapping_for(
    file: Path, mappings: Mapping[str, RowMapping], *, name: str | None = None
) -> RowMapping | None:
    """Return the mapping asked for, else the one whose `files` match; None if none does.

    Raises:
        UnknownContractError: No mapping has the name that was asked for.
        ParameterError: Several mappings are for files called so.
    """
    if name is not None:
        try:
            return mappings[name]
        except KeyError:
            raise UnknownContractError("mapping", name, known=mappings) from None
    matching = [
        mapping
        for mapping in mappings.values()
        if any(fnmatch(name, each) for name in _names(file) for each in mapping.contract.files)
    ]
    if len(matching) > 1:
        names = ", ".join(mapping.contract.name for mapping in matching)
        hint = f"Name the one you mean: {names}."
        raise ParameterError(f"several mappings are for files like {quoted(file.name)}", hint=hint)
    return matching[0] if matching else None


def _names(file: Path) -> tuple[str, ...]:
    """Return the names that patterns are for: its own, and that of what is packed in it."""
    return (file.name, file.stem) if file.suffix.lower() in {".gz", ".zip"} else (file.name,)


def _checked(
    document: Document, folder: Path, registry: Registry
) -> tuple[MappingContract | None, Tables, list[FileProblem]]:
    problems = list(document.problems)
    if document.value is None and problems:
        return None, {}, problems
    contract, found = checked(document, MappingContract, noun="mapping")
    problems += found
    if contract is None:
        return None, {}, problems
    problems += sorted(problems_of(contract, document.source, registry), key=lambda each: each.line)
    tables: dict[str, Mapping[str, str]] = {}
    for name, lookup in contract.lookups.items():
        try:
            tables[name] = dict(_table(folder / lookup.file))
        except _LookupError as error:
            message = f"lookup file {quoted(lookup.file)} {error}"
            problems.append(document.source.problem(("lookups", name, "file"), message))
    return contract, tables, problems


class _LookupError(Exception):
    """A lookup file cannot be read; never leaves this module."""


def _table(file: Path) -> Iterator[tuple[str, str]]:
    lines = csv.reader(io.StringIO(_text(file), newline=""), strict=True)
    _record(lines, begins=1)
    while (cells := _record(lines, begins=(line := lines.line_num + 1))) is not None:
        if len(cells) != _COLUMNS:
            raise _LookupError(f"has {counted(len(cells), 'column')} in line {line}, not 2")
        yield cells[0], cells[1]


def _text(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            content = opened.read(_MAX_LOOKUP_BYTES + 1)
        if len(content) > _MAX_LOOKUP_BYTES:
            raise _LookupError(f"cannot be read: it is longer than {_MAX_LOOKUP_BYTES} bytes")
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise _LookupError("is not UTF-8") from None
    except OSError as error:
        raise _LookupError(f"cannot be read: {(error.strerror or 'unknown').lower()}") from None


def _record(lines: Iterator[list[str]], *, begins: int) -> list[str] | None:
    try:
        return next(lines, None)
    except csv.Error:
        raise _LookupError(f"has a quote that does not close well in line {begins}") from None
