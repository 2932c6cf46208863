"""Runs the test of a fault with the fault planted, in a fork that has other packages imported.

A fork that could not run the test must not look like one in which the test failed. So each test has
to pass without a fault first, and what ends a fork other than the verdict of pytest is an error.
"""

from __future__ import annotations

import importlib
import os
import tempfile
from functools import cache
from pathlib import Path
from traceback import print_exc

import pytest

from tests.mutants.planting import DoesNotFitError, Fault, plant

_OTHERS = ("duckdb", "msgspec", "pyarrow", "pydantic", "starlette", "uvicorn")
"""Most of what a test takes to start, the same for all of them. Plugins of pytest are not among
them: pytest warns of those that are imported before it, and a warning is an error."""
_NOT_RUN = 70
_OUTCOMES = {pytest.ExitCode.OK: False, pytest.ExitCode.TESTS_FAILED: True}


def warm_up() -> None:
    """Import what others wrote; nothing of ours, or no fault could be planted in it."""
    for name in _OTHERS:
        importlib.import_module(name)


def noticed(fault: Fault) -> bool:
    """Run the test of a fault and tell whether it fails.

    Raises:
        DoesNotFitError: The fault does not fit any more, there is no such test, or it fails without
            the fault as well.
    """
    fault.source()
    if _fails_anyway(fault.test):
        raise DoesNotFitError(f'"{fault.name}": {fault.test} fails without the fault')
    return _fails(fault.test, fault)


@cache
def _fails_anyway(test: str) -> bool:
    return _fails(test, None)


def _fails(test: str, fault: Fault | None) -> bool:
    with tempfile.TemporaryDirectory() as scratch:
        said = Path(scratch) / "said"
        child = os.fork()
        if child == 0:
            os._exit(_run(test, fault, said))
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if code not in _OUTCOMES:
            raise DoesNotFitError(f"{test} was not run: {said.read_text()[-2000:]}")
        return _OUTCOMES[pytest.ExitCode(code)]


def _run(test: str, fault: Fault | None, said: Path) -> int:
    """Run the test in this process, which ends with the code that is returned."""
    with said.open("wb") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    own = ("-q", "-x", "-n", "0", "-p", "no:cacheprovider")
    try:
        if fault is not None:
            plant(fault)
        return int(pytest.main([*own, "-m", "not bench and not browser", test]))
    except BaseException:  # noqa: BLE001 - it is the parent's to report
        print_exc()
        return _NOT_RUN
