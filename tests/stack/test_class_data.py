"""Archives of classes: recorded by one run of a program, mapped by those after it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from stack import class_data
from stack.home import java

MAIN = "jdk.internal.misc.CDS"


@pytest.fixture
def classpath(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory of jars, and nothing archived yet."""
    monkeypatch.setenv("AGENTFLOW_STACK_HOME", str(tmp_path / "home"))
    return tmp_path / "jars"


def test_a_program_maps_what_an_earlier_run_recorded(classpath: Path, tmp_path: Path) -> None:
    """Java is asked itself: what it writes is what it accepts."""
    assert class_data.flags(MAIN, classpath) == ()

    with class_data.recorded(tmp_path / "recorded"):
        ran(*class_data.flags(MAIN, classpath))

    mapping = class_data.flags(MAIN, classpath)
    assert mapping == class_data.mapped(class_data.archive(MAIN, classpath))
    assert "top shared" not in ran("-Xlog:class+load=info")
    assert "top" in ran(*mapping, "-Xlog:cds=info,class+path=info,class+load=info")


def test_what_was_recorded_is_not_recorded_again(classpath: Path, tmp_path: Path) -> None:
    """An archive that is mapped by a running program must not be written over."""
    path = class_data.archive(MAIN, classpath)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"")

    with class_data.recorded(tmp_path / "recorded"):
        assert class_data.flags(MAIN, classpath) == class_data.mapped(path)


def test_another_program_or_other_jars_have_an_archive_of_their_own(classpath: Path) -> None:
    """Java would leave it aside, and the start would be slow without a word."""
    other = classpath.with_name("others")

    archives = {
        class_data.archive(main, path) for main in ("a.A", "b.A") for path in (classpath, other)
    }

    assert len(archives) == 4


def ran(*flags: str) -> str:
    """Run Java with flags, to say its version."""
    done = subprocess.run([java(), *flags, "-version"], capture_output=True, text=True, check=True)
    return done.stdout + done.stderr
