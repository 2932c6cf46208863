"""What is typed wrong is quoted, with what would have worked, and without words of Python."""

from __future__ import annotations

import io
import os
import re
import tarfile
from pathlib import Path

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentflow.contracts.source import read
from agentflow.errors import ParameterError, StorageCorruptError
from agentflow_cli.event_data import data_of
from agentflow_cli.event_file import read_event
from agentflow_cli.json_text import json_of
from agentflow_cli.send import _show as show
from agentflow_sdk.models import EventOutcome, Receipt
from ingestion.replay.files import open_file
from processing.backup.archive import source_at
from tests.agentflow_cli.conftest import Run

PYTHON = re.compile(r"Expecting|codec|Errno|Traceback|None|Unterminated|Extra data|delimiter")
CONTRACT = {"name": "tag.seen", "fields": {"label": {"type": "string"}, "num": {"type": "integer"}}}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x", 'JSON is not JSON: "x" at line 1, character 1'),
        ("", "JSON is not JSON: it is empty"),
        ("[1", "JSON is not JSON: it ends too early, at line 1, character 3"),
        ('"a', "JSON is not JSON: the text that begins at line 1, character 1 is not closed"),
        ("1 2", 'JSON is not JSON: "2" at line 1, character 3'),
        ("NaN", "JSON is not JSON: it has no number NaN"),
        ('{"a": {"b": 1, "b": 2}}', 'JSON has the member "/a/b" more than once'),
        ("[" * 100_000, "JSON is nested too deeply"),
    ],
)
def test_wrong_json_is_quoted(text: str, said: str) -> None:
    """With its place."""
    with pytest.raises(click.UsageError) as refused:
        json_of(text, "JSON")

    assert refused.value.message == said


@given(st.text("xyz", max_size=12) | st.text('{}[]",:1a \n\\', max_size=12))
def test_no_word_of_python_is_said_of_any_text(text: str) -> None:
    """It is read, or refused in words of ours."""
    said = ""
    try:
        json_of(text, "it")
    except click.UsageError as refused:
        said = refused.message

    assert not PYTHON.search(said)


def test_a_field_that_is_given_twice_is_refused() -> None:
    """The last one would win."""
    with pytest.raises(click.UsageError, match='"label" is given twice'):
        data_of(CONTRACT, ["label=a", "label=b"])
    with pytest.raises(click.UsageError, match='"label" is given twice'):
        data_of(CONTRACT, ["label=a", "label:=1"])


def test_a_json_value_that_is_none_is_told_how_to_write_a_text() -> None:
    """As in num:=x."""
    with pytest.raises(click.UsageError) as refused:
        data_of(CONTRACT, ["num:=x"])

    assert refused.value.message == (
        'the value of "num" is not JSON: "x" at line 1, character 1. '
        "Write a text in double quotes, or as num=TEXT."
    )


def test_a_binary_file_is_no_event(tmp_path: Path) -> None:
    """The byte that is no text is named."""
    (tmp_path / "event.bin").write_bytes(b"{\xff\x00")

    with (tmp_path / "event.bin").open() as file, pytest.raises(click.UsageError) as refused:
        read_event(file, "--json-file")

    assert "is not text in UTF-8: it has the byte 0xff" in refused.value.message
    assert not PYTHON.search(refused.value.message)


def test_a_device_and_a_pipe_are_there_but_no_files(tmp_path: Path) -> None:
    """It said that they do not exist."""
    os.mkfifo(tmp_path / "pipe")

    for path in (Path("/dev/null"), tmp_path / "pipe"):
        with pytest.raises(ParameterError, match="is a device or a pipe, not a file"):
            open_file(path)


@pytest.mark.parametrize("kept", [700, 1_300, 2_100])
def test_a_backup_that_was_cut_says_where_it_ends(tmp_path: Path, kept: int) -> None:
    """By the last part that it has, not by what a library calls it."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as tar:
        for name in ("manifest.json", "log.sqlite"):
            part = tarfile.TarInfo(name)
            part.size = 600
            tar.addfile(part, io.BytesIO(b"a" * 600))
    (tmp_path / "cut.tar").write_bytes(content.getvalue()[:kept])

    with pytest.raises(StorageCorruptError) as refused, source_at(tmp_path / "cut.tar"):
        pass

    assert re.search(r'it ends or is damaged after "(manifest|log)', str(refused.value))
    assert f"has {kept:,} bytes" in str(refused.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x: [", 'after "[", "{" or "," a value or the closing bracket is missing, in "x: ["'),
        ("x: [1\ny: 2", 'opened with "[" has no "," or "]" where one is needed, in "x: [1"'),
        ("x: {a: 1", 'opened with "{" has no "," or "}" where one is needed, in "x: {a: 1"'),
        ("x: 'a\n", 'the quotation that begins here is not closed, in "x: \'a"'),
        ("a: b: c", 'mapping values are not allowed in this context, in "a: b: c"'),
    ],
)
def test_yaml_that_is_not_closed_shows_the_line_that_opened_it(text: str, said: str) -> None:
    """Where the parser gave up may be far below."""
    problem = read("a.yaml", text.encode()).problems[0]

    assert problem.message.startswith("not YAML: ")
    assert problem.message.endswith(said)
    assert problem.line == 1


@pytest.mark.parametrize(
    ("offset", "said"), [(None, "tag.seen 1\n"), (7, "tag.seen 1, offset 7\n")]
)
def test_an_offset_that_is_not_known_yet_is_not_shown(
    capsys: pytest.CaptureFixture[str], offset: int | None, said: str
) -> None:
    """Over a stream an event is taken before it has one."""
    event = EventOutcome(index=0, id="1", type="tag.seen", status="accepted", offset=offset)

    show(
        Receipt(token="", accepted=1, duplicates=0, rejected=0, events=(event,)), [], as_json=False
    )

    assert capsys.readouterr().err == f"accepted: {said}"


@pytest.mark.parametrize("url", ["ftp://x", "localhost:8000", "http://", "http://a:b"])
def test_an_address_that_is_not_http_is_refused_as_such(run: Run, url: str) -> None:
    """Starting a platform would not help."""
    refused = run("metric", "--url", url)

    assert refused.exit_code == 2
    assert f'"{url}" is not an address of http or https' in refused.stderr
    assert "agentflow up" not in refused.stderr


def test_hints_on_the_command_line_name_commands(live: Run) -> None:
    """An address of HTTP is no help there."""
    missing = live("deadletter", "show", "999")

    assert "List them with `agentflow deadletter list`." in missing.stderr
