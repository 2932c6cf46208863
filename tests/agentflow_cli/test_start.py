"""What every command has in common: a fast start, clear mistakes, exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import import_module

import pytest

from agentflow_cli.contracts import _COMMANDS
from agentflow_cli.group import COMMANDS
from tests.agentflow_cli.conftest import ROOT, Run, json_of

HEAVY = ("pydantic", "httpx2", "agentflow_sdk", "duckdb", "pyarrow", "rich", "starlette", "yaml")


@pytest.mark.parametrize("arguments", [["--help"], ["send", "--help"], ["contracts", "--help"]])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    """Help is asked for between two thoughts."""
    program = (
        "import sys; from agentflow_cli import main\n"
        "try: main(sys.argv[1:])\n"
        f"finally: sys.stderr.write(' '.join(n for n in {HEAVY!r} if n in sys.modules))"
    )

    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=True
    )

    assert done.stdout.startswith("Usage:")
    assert done.stderr == ""


@pytest.mark.parametrize("place", [lazy.place for lazy in (COMMANDS | _COMMANDS).values()])
def test_command_is_where_the_table_says(place: str) -> None:
    """A lazy table is only found wrong when somebody runs the command."""
    module, _, name = place.partition(":")

    command = getattr(import_module(module), name)

    assert command.help
    assert "as_json" in {option.name for option in command.params} or hasattr(command, "commands")


def test_ctrl_c_ends_with_the_code_that_shells_give_it(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A script must tell an answer from an interruption."""

    def interrupted(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("agentflow_cli.checks.examine", interrupted)

    result = run("doctor", "--json")

    assert result.exit_code == 130
    assert json.loads(result.stderr)["error"]["code"] == "interrupted"


def test_mistyped_command_is_recognised(run: Run) -> None:
    """Say which one was meant."""
    result = run("metrc")

    assert result.exit_code == 2
    assert 'Did you mean "metric"?' in result.stderr


def test_absent_platform_has_its_own_exit_code_and_fix(run: Run) -> None:
    """A script must tell "it says no" from "it is not there"."""
    result = run("metric", "revenue")

    assert result.exit_code == 3
    assert result.stdout == ""
    assert "agentflow up" in result.stderr


def test_failure_is_json_on_stderr_when_json_is_asked_for(run: Run) -> None:
    """Programs read errors too; stdout stays for data."""
    result = run("metric", "revenue", "--json")

    assert result.stdout == ""
    assert '"code": "unreachable"' in result.stderr


def test_doctor_names_what_is_missing_with_its_fix(run: Run, tmp_path: object) -> None:
    """Contracts that are not there are a problem, a platform that is not started is a note."""
    result = run("doctor", "--contracts-dir", "nowhere", "--data-dir", tmp_path, "--json")

    findings = {finding["name"]: finding for finding in json_of(result)}
    assert result.exit_code == 1
    assert findings["contracts"]["status"] == "problem"
    assert "agentflow contracts lint" in findings["contracts"]["fix"]
    assert findings["platform"]["status"] == "note"
    assert findings["python"]["status"] == findings["packages"]["status"] == "ok"


def test_doctor_says_who_holds_the_data_directory(run: Run, tmp_path: object) -> None:
    """The usual reason why `up` does not start."""
    from pathlib import Path

    from ingestion.log.lock import DataDirectoryLock

    with DataDirectoryLock(Path(str(tmp_path))):
        result = run("doctor", "--data-dir", tmp_path, "--json")

    (finding,) = [each for each in json_of(result) if each["name"] == "lock"]
    assert finding["status"] == "problem"
    assert "Stop process" in finding["fix"]


def test_doctor_says_that_an_open_address_needs_keys(
    run: Run, tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What `up` refuses is better known before it starts."""
    monkeypatch.setenv("AGENTFLOW_HOST", "0.0.0.0")  # noqa: S104 - nothing listens

    refused = json_of(run("doctor", "--data-dir", tmp_path, "--json"))
    monkeypatch.setenv("AGENTFLOW_API_KEYS", "k:acme")
    served = json_of(run("doctor", "--data-dir", tmp_path, "--json"))

    (finding,) = [each for each in refused if each["name"] == "keys"]
    assert finding["status"] == "problem"
    assert "AGENTFLOW_API_KEYS" in finding["fix"]
    assert not [each for each in served if each["name"] == "keys"]


def test_reference_names_every_command() -> None:
    """A command that is not described does not exist."""
    page = (ROOT / "docs" / "reference" / "cli.md").read_text("utf-8")

    assert [name for name in COMMANDS if name != "contracts" and f"`{name}" not in page] == []
    assert [name for name in _COMMANDS if f"`contracts {name}" not in page] == []
