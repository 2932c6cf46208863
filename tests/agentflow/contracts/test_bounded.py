"""No file is read further than it may be long: a sparse one of 3 GB costs nothing."""

from __future__ import annotations

import io
import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from agentflow.contracts import Registry, read_lock
from agentflow.errors import ContractFilesError
from agentflow.lint import load, read_directory
from agentflow_cli.event_file import MAX_BYTES, read_event
from ingestion.generate.load import read_scenario
from ingestion.replay.load import read_mappings

GIBI = 1 << 30


@pytest.fixture
def sparse(tmp_path: Path) -> Callable[[str], Path]:
    """Make a file of 3 GiB that takes no space on the disk."""

    def make(name: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            file.truncate(3 * GIBI)
        return path

    return make


def peak_bytes(work: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_contract_of_3_gigabytes_is_a_problem_with_its_file(
    tmp_path: Path, sparse: Callable[[str], Path]
) -> None:
    """It was read whole, and then refused for its length: the machine was out of memory first."""
    sparse("events/huge.yaml")
    found = []

    peak = peak_bytes(lambda: found.extend(read_directory(tmp_path).problems))

    assert [str(each) for each in found] == [
        "events/huge.yaml: file is longer than 262144 bytes (Keep one contract to a file.)"
    ]
    assert peak < 64 << 20


@pytest.mark.parametrize(
    ("name", "reads", "message"),
    [
        ("contracts.lock", read_lock, "contracts.lock: file is longer than 16777216 bytes"),
        (
            "mappings/huge.yaml",
            lambda path: read_mappings(path, Registry.of([])),
            "mappings/huge.yaml: file is longer than 262144 bytes",
        ),
        (
            "scenarios/huge.yaml",
            lambda path: read_scenario(path, Registry.of([])),
            "scenarios/huge.yaml: file is longer than 262144 bytes",
        ),
    ],
)
def test_other_files_beside_the_contracts_are_measured_too(
    tmp_path: Path,
    sparse: Callable[[str], Path],
    name: str,
    reads: Callable[[Path], object],
    message: str,
) -> None:
    """Each has a limit, and an error that names file and limit."""
    sparse(name)

    def work() -> None:
        with pytest.raises(ContractFilesError, match=message):
            reads(tmp_path)

    assert peak_bytes(work) < 256 << 20


NO_FILES: dict[str, tuple[Callable[[Path], None], str]] = {
    "a link to nothing": (lambda path: path.symlink_to("nowhere"), "is a link to a file that does"),
    "a link to itself": (lambda path: path.symlink_to(path), "is a link to a file that does not"),
    "a pipe": (os.mkfifo, "is not a regular file"),
    "a device": (lambda path: path.symlink_to("/dev/zero"), "is not a regular file"),
    "a folder": (lambda path: path.mkdir(), "is a folder"),
}
READERS: dict[str, Callable[[Path], object]] = {
    "events/odd.v1.yaml": load,
    "mappings/odd.yaml": lambda path: read_mappings(path, Registry.of([])),
    "scenarios/odd.yaml": lambda path: read_scenario(path, Registry.of([])),
}


@pytest.mark.parametrize("made", NO_FILES)
@pytest.mark.parametrize("name", READERS)
def test_what_is_no_file_is_a_problem_and_is_not_opened(
    tmp_path: Path, name: str, made: str
) -> None:
    """A contract whose link broke must not go out of force without a word; a pipe never ends."""
    make, message = NO_FILES[made]
    (tmp_path / name).parent.mkdir()
    make(tmp_path / name)

    with pytest.raises(ContractFilesError, match=f"{name}: {message}"):
        READERS[name](tmp_path)


def test_a_lookup_file_of_3_gigabytes_is_a_problem_of_its_mapping(
    tmp_path: Path, sparse: Callable[[str], Path]
) -> None:
    """The mapping's line is told, since that is what can be changed."""
    registry = load(Path("examples/flights/contracts"))
    (mapping,) = Path("examples/flights/contracts/mappings").glob("*.yaml")
    text = mapping.read_text()
    assert "file: airport_zones.csv" in text
    sparse("mappings/airport_zones.csv")
    (tmp_path / "mappings" / mapping.name).write_text(text)

    with pytest.raises(
        ContractFilesError, match="cannot be read: it is longer than 67108864 bytes"
    ):
        read_mappings(tmp_path, registry)


class Named(io.StringIO):
    """A file as click opens one."""

    name = "event.json"


def test_an_event_file_is_read_up_to_what_an_event_may_have() -> None:
    """`--json-file` and `--event` share it."""
    longest = '"' + "x" * (MAX_BYTES - 2) + '"'

    assert len(read_event(Named(longest), "--event")) == MAX_BYTES - 2
    for text, message in (
        (f"{longest} ", "is longer than 1048576 bytes, which no event may be"),
        ('"' + "ü" * (MAX_BYTES // 2) + '"', "is longer than 1048576 bytes"),
        ("[" * 100_000, "is nested too deeply"),
        ("{", "is not JSON"),
    ):
        with pytest.raises(click.UsageError, match=message):
            read_event(Named(text), "--event")
