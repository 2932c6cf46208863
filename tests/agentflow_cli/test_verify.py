"""What `agentflow verify` says of numbers that are equal, differ, or were not compared."""

from collections.abc import Mapping

import pytest

from agentflow_cli.verify import _verdict, _write
from agentflow_sdk import Verification


def test_what_was_not_compared_is_not_said_to_differ(capsys: pytest.CaptureFixture[str]) -> None:
    """An overflow in the recompute alone read as a number that differs from nothing."""
    window = {"window": "1h", "live": 7, "recomputed": None, "equal": None, "reason": "too long"}
    result = verification(
        {"metric": "counted", "equal": None, "windows": [window]},
        {"metric": "moved", "equal": True, "windows": [{**window, "recomputed": 7, "equal": True}]},
        failed=1,
    )

    _write(result)

    said = capsys.readouterr()
    assert "NOT COMPARED" in said.out
    assert "DIFFERENT" not in said.out
    assert "counted 1h: not compared: too long; live it is 7" in said.err
    assert _verdict(result) == "1 of 2 checks could not be done"


def test_pages_joined_differ_before_they_are_not_compared() -> None:
    """A number that differs is said whatever else could not be done."""
    metrics = [{"metric": "m", "equal": equal} for equal in (True, None, False)]
    equal, unknown, different = (verification(metric) for metric in metrics)

    assert equal.joined(equal).metrics[0].equal is True
    assert equal.joined(unknown).metrics[0].equal is None
    assert unknown.joined(equal).metrics[0].equal is None
    assert unknown.joined(different).metrics[0].equal is False


def verification(*metrics: Mapping[str, object], failed: int = 0) -> Verification:
    return Verification.model_validate(
        {
            "verified": not failed,
            "checked_at": "2026-01-01T00:00:00Z",
            "failed": failed,
            "checks": len(metrics),
            "metrics": [{"version": 1, **metric} for metric in metrics],
        }
    )
