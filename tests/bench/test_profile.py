"""Shares of a flame graph: by the outermost frame, of all samples."""

from __future__ import annotations

import pytest

from tests.bench.stream.profile import shares

GRAPH = """
f(0,0,100,3,'all')
f(1,0,70,1,'task')
f(2,0,40,1,'bridge.call')
f(3,0,30,1,'bridge.call')
f(2,40,20,1,'sink')
f(1,70,20,1,'bridge.call',0,1,0)
f(1,90,10,4,'Compiler::compile(int, bool)')
"""


def test_outermost_frames_are_summed_up() -> None:
    found = shares(GRAPH, {"bridge": "bridge.", "sink": "sink", "compiler": "Compiler::"})

    assert found == pytest.approx({"bridge": 0.6, "sink": 0.2, "compiler": 0.1})


def test_what_is_not_there_has_no_share() -> None:
    assert shares(GRAPH, {"garbage": "collect"}) == {"garbage": 0.0}
    assert shares("<html></html>", {"garbage": "collect"}) == {"garbage": 0.0}
