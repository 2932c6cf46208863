"""DuckDB that is closed while it is asked: a demonstration may be interrupted as it compares."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from threading import Event

import pytest

from agentflow.errors import UnavailableError
from processing.history.engine import Engine

ENDLESS = "SELECT count(*) FROM range(1000000) a, range(1000000) b WHERE a.range % 7 = b.range % 7"
LONG = timedelta(minutes=10)


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return Engine(tmp_path, threads=1, memory_limit_mib=64)


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor() as pool:
        yield pool


def test_a_query_that_runs_ends_when_the_engine_closes(
    engine: Engine, threads: ThreadPoolExecutor
) -> None:
    """Nobody awaits it any more, and the process waits for its thread."""
    begun = Event()

    def ask() -> None:
        with engine.session() as session:
            begun.set()
            session.rows(ENDLESS, {}, deadline=LONG)

    asked = threads.submit(ask)
    assert begun.wait(10)

    engine.close()

    with pytest.raises(UnavailableError, match="the history is closed"):
        asked.result(timeout=10)


def test_a_closed_engine_says_that_it_is_closed(engine: Engine) -> None:
    """DuckDB's own words would reach the terminal as a traceback."""
    engine.close()

    with pytest.raises(UnavailableError, match="the history is closed"), engine.session():
        pass
