"""A plugin of pytest that says what tests cost in seconds of processor: `pytest -p tests.costs`.

The wall clock says how busy the machine was. Counted are the test process and every process it
started, those that still run too: a service that many tests share is on the account of the tests
that ran beside it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import psutil
import pytest

_SHOWN = 50
_NAME = "processor_seconds"
_BEFORE = pytest.StashKey[float]()


def pytest_sessionstart(session: pytest.Session) -> None:
    """Begin to count."""
    session.stash[_BEFORE] = _spent()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Note what setup, call or teardown took."""
    report = yield
    before, item.session.stash[_BEFORE] = item.session.stash[_BEFORE], _spent()
    report.user_properties = [(_NAME, item.session.stash[_BEFORE] - before)]
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show the most expensive tests, then what each module takes."""
    tests: dict[str, float] = defaultdict(float)
    modules: dict[str, float] = defaultdict(float)
    for reports in terminalreporter.stats.values():
        for report in reports:
            for name, seconds in getattr(report, "user_properties", ()):
                if name == _NAME:
                    tests[f"{report.when:8} {report.nodeid}"] += seconds
                    modules[report.nodeid.partition("::")[0]] += seconds
    for title, costs in (("tests", tests), ("modules", modules)):
        terminalreporter.section(f"processor seconds of {title}: {sum(costs.values()):.0f}")
        for name, seconds in sorted(costs.items(), key=lambda each: -each[1])[:_SHOWN]:
            terminalreporter.write_line(f"{seconds:8.2f}  {name}")


def _spent() -> float:
    this = psutil.Process()
    total = 0.0
    for process in (this, *this.children(recursive=True)):
        try:
            times = process.cpu_times()
        except psutil.Error:
            continue  # it ended meanwhile: its parent has its time
        total += times.user + times.system + times.children_user + times.children_system
    return total
