"""Runs the test of a fault with the fault planted, in a fork that has other packages imported."""

from __future__ import annotations

import importlib
import os
import tempfile
from pathlib import Path

import pytest

from tests.mutants.planting import DoesNotFitError, Fault, plant

_OTHERS = ("duckdb", "hypothesis", "msgspec", "pyarrow", "pydantic", "starlette", "uvicorn")
"""Most of what a test takes to start, the same for all of them."""
_OUTCOMES = {pytest.ExitCode.OK: False, pytest.ExitCode.TESTS_FAILED: True}


def warm_up() -> None:
    """Import what others wrote; nothing of ours, or no fault could be planted in it."""
    for name in _OTHERS:
        importlib.import_module(name)


def noticed(fault: Fault) -> bool:
    """Run the test of a fault and tell whether it fails.

    Raises:
        DoesNotFitError: The fault does not fit any more, or there is no such test.
    """
    fault.source()
    with tempfile.TemporaryDirectory() as scratch:
        said = Path(scratch) / "said"
        child = os.fork()
        if child == 0:
            os._exit(_run(fault, said))
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if code not in _OUTCOMES:
            tail = said.read_text()[-2000:]
            raise DoesNotFitError(f'"{fault.name}": {fault.test} was not run: {tail}')
        return _OUTCOMES[pytest.ExitCode(code)]


def _run(fault: Fault, said: Path) -> int:
    """Run the test in this process, which ends with the code that is returned."""
    with said.open("wb") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    plant(fault)
    own = ("-q", "-x", "-n", "0", "-p", "no:cacheprovider")
    return int(pytest.main([*own, "-m", "not bench and not browser", fault.test]))
