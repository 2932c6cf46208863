"""CSV as it is written, and never tolerantly: a row is read whole, or the line is named."""

from __future__ import annotations

import csv
import gzip
import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentflow.errors import ParameterError
from agentflow.lint import load
from ingestion.replay import RowMapping, read_mappings, replay
from ingestion.replay.delimited import DelimitedRows
from ingestion.replay.files import MAX_LINE_BYTES, open_file
from ingestion.replay.numerals import plain_number
from ingestion.replay.port import FileRow
from ingestion.replay.shape import Delimited

EVENT = """\
kind: event
name: sale.made
status: approved
owner: shop
description: A sale.
fields:
  amount: {type: decimal, scale: 2, required: true}
  pieces: {type: integer}
  note: {type: string}
"""
MAPPING = """\
kind: mapping
name: sales
source: urn:shop
columns:
  day: {type: date, format: "%d.%m.%Y", header: Datum}
  amount: {type: decimal, scale: 2, header: Betrag}
  pieces: {type: integer, header: Menge}
  note: {header: Notiz}
instants:
  made: {date: "{day}", clock: "12:00", zone: UTC}
events:
  - type: sale.made
    id: "{row}"
    time: made
    data: {amount: amount, pieces: pieces, note: note}
row_number: row
"""
HEADER = "Datum;Betrag;Menge;Notiz"


def mapping_of(directory: Path, more: str = "") -> RowMapping:
    for folder, text in (("events", EVENT), ("mappings", MAPPING + more)):
        (directory / folder).mkdir(parents=True, exist_ok=True)
        (directory / folder / "one.yaml").write_text(text)
    return read_mappings(directory, load(directory))["sales"]


def data_of(file: Path, mapping: RowMapping) -> list[Any]:
    return [json.loads(each.value)["data"] for each in replay(file, mapping)]


GERMAN = "csv: {delimiter: ';', trim: true}\nnumbers: {decimal: ',', thousands: '.'}\n"


def test_a_file_is_read_as_its_country_writes_it(tmp_path: Path) -> None:
    """Semicolons, a decimal comma, groups of thousands, spaces, and no id but the row's number."""
    file = tmp_path / "sales.csv"
    rows = ["01.07.2026; 1.234,50 ;1.000;x", '02.07.2026;-0,5;7;"a;b"', "03.07.2026;12;;"]
    file.write_text("\n".join([HEADER.replace(";", " ; "), *rows]))

    events = [json.loads(each.value) for each in replay(file, mapping_of(tmp_path, GERMAN))]

    assert [(event["id"], event["data"]) for event in events] == [
        ("1", {"amount": "1234.50", "pieces": 1000, "note": "x"}),
        ("2", {"amount": "-0.50", "pieces": 7, "note": "a;b"}),
        ("3", {"amount": "12.00"}),
    ]


def test_names_of_columns_may_come_from_the_mapping(tmp_path: Path) -> None:
    """Of a file that has none; its first line is a row."""
    file = tmp_path / "sales.csv"
    file.write_bytes("01.07.2026,1.50,1,Grüße\n".encode("windows-1252"))
    header = "csv: {header: [Datum, Betrag, Menge, Notiz], encoding: windows-1252}\n"

    assert data_of(file, mapping_of(tmp_path, header)) == [
        {"amount": "1.50", "pieces": 1, "note": "Grüße"}
    ]


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ('01.07.2026,1,1,a\n02.07.2026,2,2,"b\n03.07.2026,3,3,c\n', 3, "never closes"),
        ('01.07.2026,1,1,"a"', None, ""),
        ('01.07.2026,1,1,"a', 2, "never closes"),
        ('01.07.2026,1,1,"a"b\n02.07.2026,2,2,c\n', 2, "goes on after its closing quote"),
        ('01.07.2026,1,1,"' + "a\n" * 100_000, 2, "longer than 131,072 characters"),
        ("01.07.2026,1,1," + "a" * (MAX_LINE_BYTES + 1), 2, "longer than 8,388,608 characters"),
    ],
)
def test_a_quote_that_never_closes_is_an_error_with_its_line(
    tmp_path: Path, text: str, line: int | None, problem: str
) -> None:
    """Rows vanished into the cell, and the command ended well."""
    mapping, file = mapping_of(tmp_path), tmp_path / "sales.csv"
    file.write_text("Datum,Betrag,Menge,Notiz\n" + text)

    if line is None:
        assert len(data_of(file, mapping)) == 1
        return
    with pytest.raises(
        ParameterError, match=rf'file "sales\.csv", line {line}: .*{problem}'
    ) as caught:
        list(replay(file, mapping))
    assert caught.value.hint


def test_a_quote_may_be_a_character_like_any_other(tmp_path: Path) -> None:
    """Of inches, for example."""
    mapping, file = mapping_of(tmp_path, "csv: {quote: none}\n"), tmp_path / "sales.csv"
    file.write_text('Datum,Betrag,Menge,Notiz\n01.07.2026,1,1,"5\n02.07.2026,2,2,7"\n')

    assert [each["note"] for each in data_of(file, mapping)] == ['"5', '7"']


@pytest.mark.parametrize("keep", [0.3, 0.9, 0.999])
def test_an_archive_that_is_cut_off_is_an_error(tmp_path: Path, keep: float) -> None:
    """Not the end of the file."""
    mapping, file = mapping_of(tmp_path), tmp_path / "sales.csv.gz"
    rows = "".join(f"01.07.2026,{n},1,{n * 7919}\n" for n in range(20_000))
    packed = gzip.compress(("Datum,Betrag,Menge,Notiz\n" + rows).encode())
    file.write_bytes(packed[: int(len(packed) * keep)])

    with pytest.raises(ParameterError, match=r'"sales\.csv\.gz" is cut off or damaged after'):
        list(replay(file, mapping))


def test_a_long_line_costs_itself_and_no_memory(tmp_path: Path) -> None:
    """It is named with its number; its neighbours go through."""
    file = tmp_path / "sales.jsonl"
    row = '{"Datum": "01.07.2026", "Betrag": 1.10, "Menge": 1, "Notiz": "n"}\n'
    file.write_text(row + '{"Notiz": "' + "a" * (2 * MAX_LINE_BYTES) + '"}\n' + row)

    events = list(replay(file, mapping_of(tmp_path), ordered=False))
    plain = list(replay(file, None, ordered=False))

    assert [event.problem for event in events] == [
        None,
        "the line is longer than 8,388,608 bytes",
        None,
    ]
    assert [event.row for event in events] == [1, 2, 3]
    assert json.loads(events[2].value)["data"]["amount"] == "1.10"
    assert [event.problem is None for event in plain] == [True, False, True]
    assert all(len(event.value) < 1000 for event in plain)


def test_numbers_of_json_keep_every_digit(tmp_path: Path) -> None:
    """A float has 17 of them."""
    file = tmp_path / "sales.jsonl"
    file.write_text('{"Datum": "01.07.2026", "Betrag": 123456789012345678.25, "Menge": 2.0}\n')

    assert data_of(file, mapping_of(tmp_path)) == [{"amount": "123456789012345678.25", "pieces": 2}]


@pytest.mark.parametrize(
    ("header", "hint"),
    [
        (HEADER, 'delimiter: ";"'),
        ("Datum, Betrag, Menge, Notiz", "trim: true"),
        ("Datum,Betrg,Menge,Notiz", 'Did you mean its column "Betrg"?'),
    ],
)
def test_columns_that_are_missing_say_what_may_be_wrong(
    tmp_path: Path, header: str, hint: str
) -> None:
    """Three of four times it is how the file is written."""
    file = tmp_path / "sales.csv"
    file.write_text(header + "\n")

    with pytest.raises(ParameterError, match="it lacks the columns") as caught:
        replay(file, mapping_of(tmp_path))
    assert hint in (caught.value.hint or "")


cells = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=6)


@given(
    st.lists(st.lists(cells, min_size=2, max_size=2), min_size=1, max_size=6),
    st.sampled_from(",;\t|"),
)
def test_whatever_was_written_as_csv_is_read_back(rows: list[list[str]], delimiter: str) -> None:
    """Quotes, delimiters and line ends within cells too."""
    with io.StringIO(newline="") as text:
        csv.writer(text, delimiter=delimiter, quoting=csv.QUOTE_ALL).writerows(rows)
        content = text.getvalue().encode()

    found = _read(content, delimiter)

    assert found == rows


@given(st.lists(st.lists(cells, min_size=2, max_size=2), min_size=1, max_size=5), st.data())
def test_a_file_that_is_cut_off_never_reads_as_another(
    rows: list[list[str]], data: st.DataObject
) -> None:
    """What is left of it is a beginning of what was written, or an error."""
    with io.StringIO(newline="") as text:
        csv.writer(text, quoting=csv.QUOTE_ALL).writerows(rows)
        content = text.getvalue()
    cut = content[: data.draw(st.integers(0, len(content)))].encode()

    try:
        found = _read(cut, ",")
    except ParameterError:
        return
    assert found[:-1] == rows[: max(len(found) - 1, 0)]
    for read, written in zip(found[-1:], rows[len(found) - 1 :], strict=False):
        assert read[:-1] == written[: len(read) - 1]
        assert written[len(read) - 1].startswith(read[-1])


def _read(content: bytes, delimiter: str) -> list[list[str]]:
    import tempfile

    with tempfile.NamedTemporaryFile(suffix=".csv") as file:
        file.write(content)
        file.flush()
        rows = DelimitedRows(
            open_file(Path(file.name)), Delimited(delimiter=delimiter, header=("a", "b"))
        )
        return [
            list(row.cells.values()) if isinstance(row, FileRow) else row.text.split(delimiter)  # type: ignore[misc]
            for row in rows
        ]


@given(st.decimals(allow_nan=False, allow_infinity=False, places=3), st.booleans())
def test_a_number_in_groups_is_the_number(number: Any, grouped: bool) -> None:  # noqa: ANN401, FBT001
    """Or, where one could read it two ways, it is none."""
    written = f"{number:,f}" if grouped else f"{number:f}"
    swapped = written.translate(str.maketrans(",.", ".,"))

    assert plain_number(swapped, decimal=",", thousands=".") == f"{number:f}"
    assert plain_number(written, decimal=".", thousands=",") == f"{number:f}"


@pytest.mark.parametrize(
    "text", ["1.23", "1.2345", "1234.567", "1,2,3", "", ",", "1 234", "1.234.56", "\u0665"]
)
def test_what_could_be_two_numbers_is_none(text: str) -> None:
    """Groups have three digits."""
    assert plain_number(text, decimal=",", thousands=".") is None
