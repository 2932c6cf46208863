"""Planted faults still fit the code, each has its test, and a sample of them is noticed.

All of them: `make mutants` and `make mutants-stack`.
"""

from __future__ import annotations

import subprocess
import sys
from random import Random

import pytest

from tests.mutants import on_services
from tests.mutants.faults import FAULTS
from tests.mutants.planting import ROOT, DoesNotFitError, Fault

SEED = 20_261_137
EVERY: tuple[Fault, ...] = (*FAULTS, *on_services.FAULTS)
SAMPLE = Random(SEED).sample(FAULTS, 2)


@pytest.mark.parametrize("fault", EVERY, ids=lambda fault: fault.name)
def test_a_fault_fits_the_code_and_has_a_test(fault: Fault) -> None:
    """Code that moved takes its faults along; code that changed needs others."""
    file, _, name = fault.test.partition("::")

    assert fault.source()
    assert (ROOT / file).exists()
    assert f"def {name}(" in (ROOT / file).read_text() if name else True


def test_faults_have_names_of_their_own() -> None:
    """One is chosen by its name."""
    assert len({fault.name for fault in EVERY}) == len(EVERY)


def test_the_faults_of_a_sample_are_noticed() -> None:
    """The way in which faults are planted works."""
    command = [sys.executable, "-m", "tests.mutants", *(fault.name for fault in SAMPLE)]

    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == f"{len(SAMPLE)} of {len(SAMPLE)} faults are noticed"


def test_a_fault_that_does_not_fit_is_an_error() -> None:
    """A fault in code that is gone changes nothing: it would look like a gap in the tests."""
    gone = Fault("gone", "stack", "this text stands nowhere", "", "tests/test_mutants.py")
    twice = Fault("twice", "stack", "from __future__ import annotations", "", gone.test)

    for fault in (gone, twice):
        with pytest.raises(DoesNotFitError, match=fault.name):
            fault.source()


def test_a_fork_in_which_pytest_does_not_start_notices_nothing() -> None:
    """Every fault was noticed for as long as each fork ended with a warning about an import."""
    lines = (
        "import hypothesis",  # a plugin that is imported before pytest: a warning, so an error
        "from tests.mutants.faults import FAULTS",
        "from tests.mutants.noticing import noticed",
        "noticed(FAULTS[0])",
    )

    done = subprocess.run(
        [sys.executable, "-c", "; ".join(lines)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    assert "DoesNotFitError" in done.stderr
    assert "was not run" in done.stderr
