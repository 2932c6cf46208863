"""What a pipe is told of something long: a line now and then."""

from __future__ import annotations

from itertools import count
from pathlib import Path

from agentflow_cli.output import SAID_SECONDS, Lines
from ingestion.replay import Phase, replay

ROWS = 20_000


def test_a_pipe_sees_sorting_and_sending_of_a_replay(tmp_path: Path) -> None:
    """Nothing was said until the end: minutes, with a large file."""
    file = tmp_path / "events.jsonl"
    file.write_text('{"time":"2026-01-01T00:00:00Z"}\n' * ROWS)
    ticks, said = count(0, SAID_SECONDS), list[str]()
    lines = Lines("replaying events.jsonl", said.append, lambda: float(next(ticks)))

    def told(phase: Phase, fraction: float) -> None:
        lines.note(phase)
        lines.fraction(fraction)

    assert len(list(replay(file, None, progress=told))) == ROWS
    assert "replaying events.jsonl: 100%, sorting" in said
    assert said[-1] == "replaying events.jsonl: 100%, sending"


def test_a_line_comes_only_now_and_then() -> None:
    """However often it is told."""
    said: list[str] = []
    now = [0.0]
    lines = Lines("backup", said.append, lambda: now[0])

    for step in range(1, 101):
        now[0] = step * SAID_SECONDS / 10
        lines.fraction(step / 100)

    assert said == [f"backup: {tenth}0%" for tenth in range(1, 10)] + ["backup: 100%"]
