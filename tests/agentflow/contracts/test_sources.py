"""What must hold between a table and the events its changes become."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentflow.contracts import Registry, breaking, diff
from agentflow.lint import load, read_directory
from tests.ingestion.cdc.packs import write_pack

SOURCE = "sources/s.yaml"
BROKEN = [
    ("key: [id]", "key: [idd]", '"idd" is not among the columns (Did you mean "id"?)'),
    ("key: [id]", "snapshot: rows", "rows without a key cannot be told apart in a snapshot"),
    ("key: [id]", "snapshot: none", '"write" needs a key'),
    ("tenant: x", "tenant: {column: y}", '"y" is not among the columns'),
    ("thing.deleted@1", "thing.gone@1", 'event "thing.gone@1" does not exist'),
    ("amount: amount", "amounts: amount", '"amounts" is not a field of "thing.written@1"'),
    ("amount: amount,", "", '"thing.written@1" requires "amount", which comes from no column'),
    ("amount: amount", "amount: amont", '"amont" is not among the columns'),
    ("amount: amount", "amount: \"'x'\"", "'x' is not a value of a decimal field"),
    ("amount: amount", "amount: paid", "of type boolean cannot become a field of type decimal"),
    ("write:", "insert:", "so an update must become one too"),
    ("time: at", "time: day", '"day" is not a timestamp'),
    ("time: at", "when: {paid: ['true']}", "no change of the row may be left out"),
    ("server: s", "server: m", 'is read by "m.t@1" too'),
    ("table: d.t", "table: d", '"table"'),
    ("connector: postgres", "connector: oracle", "must be postgres or mariadb or mysql"),
]


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    write_pack(tmp_path)
    text = (tmp_path / SOURCE).read_text()
    (tmp_path / SOURCE).write_text(text.replace("key: [id]", "tenant: x\nkey: [id]"))
    return tmp_path


@pytest.mark.parametrize(("old", "new", "said"), BROKEN)
def test_what_does_not_fit_is_refused(pack: Path, old: str, new: str, said: str) -> None:
    """Each would be a dead letter for every row, or a wrong number."""
    text = (pack / SOURCE).read_text()
    assert old in text
    (pack / SOURCE).write_text(text.replace(old, new, 1))

    found = "\n".join(map(str, read_directory(pack).problems))

    assert said in found


def test_a_table_is_read_once(pack: Path) -> None:
    """Two contracts would make two events of one change."""
    text = (pack / SOURCE).read_text().replace("name: s.t", "name: s.again")
    (pack / "sources" / "again.yaml").write_text(text)

    assert any("is read by" in str(each) for each in read_directory(pack).problems)


def test_a_source_contract_has_a_meaning_of_its_own(pack: Path) -> None:
    """More columns may be read; another mapping is another version."""
    before = load(pack)
    text = (pack / SOURCE).read_text()
    (pack / SOURCE).write_text(text.replace("  note: string\n", "  note: string\n  new: string\n"))
    more = load(pack)
    (pack / SOURCE).write_text(text.replace("note: note", "note: doc"))
    other = load(pack)

    assert breaking(diff(before, more)) == ()
    assert [change.path for change in breaking(diff(before, other))] == ["write"]
    assert _prints(before) != _prints(more)
    assert before.table("s.t").topic == "s.d.t"


def _prints(registry: Registry) -> str:
    return registry.fingerprint(registry.table("s.t"))
