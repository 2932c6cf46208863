"""`agentflow keys` on the store itself; over HTTP, `tests/e2e/test_api_keys.py` types it."""

from __future__ import annotations

from pathlib import Path

import pytest

from control_store.keys.hashing import hashing_in
from control_store.keys.key_text import fault_of
from control_store.sqlite.opening import open_control
from ingestion.log.lock import DataDirectoryLock
from ingestion.log.private import OWN
from tests.agentflow_cli.conftest import Run, json_of


def test_the_first_key_is_made_in_the_store_of_a_stopped_platform(run: Run, tmp_path: Path) -> None:
    """The key alone is on stdout, so that it can be kept in a variable or a vault."""
    directory = tmp_path / "data"
    data = ("--data-dir", directory)

    made = run("keys", "create", "boss", "--scope", "admin", "--tenant", "acme", *data)

    key = made.stdout.strip()
    files = {path.name: path.stat().st_mode & 0o077 for path in (directory, *directory.iterdir())}
    assert set(files.values()) == {0}
    assert all(name.startswith(OWN) for name in files if name != "data")
    assert (made.exit_code, fault_of(key.encode())) == (0, None)
    assert "not shown again" in made.stderr
    [listed] = json_of(run("keys", "list", "--json", *data))
    assert (listed["tenant"], listed["created_by"], listed["scopes"]) == (
        "acme", "operator", ["admin"])  # fmt: skip
    assert key not in run("keys", "show", listed["id"], *data).output
    hashing = hashing_in(directory)
    assert hashing is not None
    store = open_control(directory / "control.sqlite").store
    match = store.key_directory.match(hashing.digest(key.encode()))
    store.close()
    assert match is not None
    assert match.key.id == listed["id"]


def test_a_key_is_rotated_and_revoked_in_the_store(run: Run, tmp_path: Path) -> None:
    """With the same options and the same words as over HTTP."""
    data = ("--data-dir", tmp_path)
    made = json_of(
        run("keys", "create", "agent", "--scope", "metrics:read", "--metric", "revenue", "--test",
            "--approved-only", "--expires", "2099-01-01T00:00:00Z", "--json", *data)
    )  # fmt: skip
    assert made["key"].startswith("af_test_")
    assert (made["metrics"], made["statuses"]) == (["revenue"], ["approved"])
    assert made["expires_at"] == "2099-01-01T00:00:00.000000Z"

    rotated = run("keys", "rotate", made["id"], "--overlap-hours", 1, *data)
    revoked = run("keys", "revoke", made["id"], *data)
    again = run("keys", "rotate", made["id"], *data)

    assert fault_of(rotated.stdout.strip().encode()) is None
    assert "the text before works until" in rotated.stderr
    assert "is revoked" in revoked.stderr
    assert (again.exit_code, "was revoked" in again.stderr) == (4, True)
    assert "revoked" in run("keys", "list", *data).stdout


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("create", "x", "--scope", "metrics:reed"), 4, 'Did you mean "metrics:read"?'),
        (("create", "x", "--scope", "admin", "--metric", "revenue"), 4, "cannot be narrowed"),
        (("create", "x", "--scope", "read", "--expires", "2001-01-01T00:00:00Z"), 4, "has passed"),
        (("show", "key_1"), 4, 'API key "key_1" does not exist'),
        (("revoke", "key_1"), 4, "the key itself is not its id"),
        (("list", "--url", "http://127.0.0.1:9"), 2, "--data-dir goes without --url"),
    ],
)
def test_what_cannot_be_done_is_said_with_what_would_work(
    run: Run, tmp_path: Path, arguments: tuple[str, ...], code: int, says: str
) -> None:
    """And nothing is made."""
    done = run("keys", *arguments, "--data-dir", tmp_path)

    assert (done.exit_code, says in done.stderr) == (code, True), done.stderr
    assert json_of(run("keys", "list", "--json", "--data-dir", tmp_path)) == []


def test_a_platform_that_runs_is_asked_and_not_gone_behind(run: Run, tmp_path: Path) -> None:
    """Its keys are in a file that is its own."""
    with DataDirectoryLock(tmp_path):
        done = run("keys", "list", "--data-dir", tmp_path)

    assert done.exit_code == 3
    assert "leave --data-dir out" in done.stderr


def test_in_postgres_the_secret_must_be_named(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Replicas with secrets of their own would not know each other's keys."""
    monkeypatch.setenv("AGENTFLOW_CONTROL_URL", "postgresql://x@127.0.0.1:9/x")

    done = run("keys", "list", "--data-dir", tmp_path)

    assert (done.exit_code, "AGENTFLOW_KEY_SECRET is not" in done.stderr) == (4, True)


def test_a_restored_platform_knows_its_keys(run: Run, tmp_path: Path) -> None:
    """A backup has the secret, and it is restored for its owner alone."""
    data, restored = tmp_path / "data", tmp_path / "restored"
    key = run("keys", "create", "boss", "--scope", "admin", "--data-dir", data).stdout.strip()

    saved = run("backup", tmp_path / "kept.tar", "--data-dir", data)
    back = run("restore", tmp_path / "kept.tar", "--data-dir", restored)

    assert (saved.exit_code, back.exit_code) == (0, 0), saved.output + back.output
    hashing = hashing_in(restored)
    assert hashing is not None
    store = open_control(restored / "control.sqlite").store
    match = store.key_directory.match(hashing.digest(key.encode()))
    store.close()
    assert match is not None
