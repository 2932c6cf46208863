"""Plant faults that act in other processes, or in a page: each in a copy whose test runs there.

python -m tests.mutants.on_services ["up begins again with what runs" …]

Services fail for many reasons: a fault is noticed when its test says what it has to say.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from stack import leftovers
from stack.flink_home import uv
from stack.home import home
from stack.identity import Identity
from tests.mutants.planting import ROOT, Fault

_APPLICATION = "tests/stack/test_application.py::"
_SUPERVISION = "tests/stack/test_supervision.py::"
_BY_HAND = f"{_APPLICATION}test_the_page_leads_to_a_platform_on_services_that_are_there"


@dataclass(frozen=True, slots=True)
class Elsewhere(Fault):
    """A fault that its test does not meet in its own process.

    Attributes:
        says: What stands in the report of the test that fails for it; `>` marks the line that did.
    """

    says: str


FAULTS: tuple[Elsewhere, ...] = (
    Elsewhere(
        "workers of Flink lack the platform",
        "stack",
        "return Command(argv, self.client_environment, self._niceness)",
        'return Command(argv, self.client_environment | {"PYTHONPATH": ""}, self._niceness)',
        "tests/stack/test_gate.py::test_workers_have_the_wheel_and_no_source",
        ">       assert workers_path",
    ),
    Elsewhere(
        "up begins again with what runs",
        "stack",
        "    service.ensure(directory / service.name, detached=True)",
        "    service.start(directory / service.name, detached=True)",
        f"{_SUPERVISION}test_command_line_starts_once_and_stops",
        '>       assert state.read(tmp_path)["redis"].pids == started.pids',
    ),
    Elsewhere(
        "up is content without its jobs",
        "stack",
        "    return 0 if _jobs_are_well(path) else 1",
        "    return 0",
        f"{_SUPERVISION}test_command_line_starts_once_and_stops",
        "AssertionError: its job is gone",
    ),
    Elsewhere(
        "SIGTERM ends the demonstration alone",
        "stack",
        "    signal.signal(signal.SIGTERM, _interrupt)\n",
        "",
        f"{_APPLICATION}test_demonstration_that_is_terminated_leaves_nothing_behind",
        ">       assert not any(each is None or each.alive for each in started)",
    ),
    Elsewhere(
        "the page names no configuration of Flink",
        "stream page",
        "export FLINK_CONF_DIR=/opt/flink/conf    "
        "# the configuration with which clients reach the clusters\n",
        "",
        _BY_HAND,
        "AssertionError: jobs: ",
    ),
    Elsewhere(
        "the page starts jobs before their tables",
        "stream page",
        "```bash\nagentflow lake apply\n```",
        "```bash\nagentflow contracts lint\n```",
        _BY_HAND,
        "the lake has no table agentflow.",
    ),
    Elsewhere(
        "connectors tell nobody of a TRUNCATE",
        "ingestion",
        '    "skipped.operations": "none",\n',
        "",
        "tests/stack/test_cdc.py::test_metrics_equal_select_on_both_databases",
        '>       assert servers("truncate") == ["m", "s"]',
    ),
    Elsewhere(
        "the README does not say how to wait",
        "readme",
        "`Prefer: wait=2` it waits for it, up to two seconds",
        "it waits for it, up to two seconds",
        "tests/e2e/test_readme.py::test_the_questions_of_the_readme_are_answered",
        ">       (preference,) = re.findall",
    ),
)


def main() -> int:
    """Print a line for each fault; 1 when one stays unnoticed."""
    wanted = sys.argv[1:] or [fault.name for fault in FAULTS]
    chosen = [fault for fault in FAULTS if fault.name in wanted]
    unnoticed = 0
    with tempfile.TemporaryDirectory() as place:
        copy = _copy(Path(place) / "checkout")
        for fault in chosen:
            report = _report(fault, copy)
            found = fault.says in report
            unnoticed += not found
            print(f"{'noticed' if found else 'UNNOTICED':<10} {fault.name}", flush=True)
            if not found:
                print(report[-4000:], file=sys.stderr)
    print(f"{len(chosen) - unnoticed} of {len(chosen)} faults are noticed")
    return 0 if chosen and not unnoticed else 1


def _copy(target: Path) -> Path:
    """Copy what is not ignored, with an environment of its own: ours imports from this checkout."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in filter(None, names.split("\0")):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    environment = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    subprocess.run([uv(), "sync", "--frozen", "--quiet"], cwd=target, env=environment, check=True)
    return target


def _report(fault: Elsewhere, copy: Path) -> str:
    """Run the test of a fault with the fault planted, and return what it says."""
    place = copy / fault.place().relative_to(ROOT)
    before = place.read_text()
    place.write_text(fault.source())
    scratch = copy.with_name("scratch")
    options = ("-q", "-x", "-n", "0", "-p", "no:cacheprovider", f"--basetemp={scratch}")
    path = os.pathsep.join([str(Path(uv()).parent), os.environ["PATH"]])
    try:
        return subprocess.run(
            [copy / ".venv" / "bin" / "python", "-m", "pytest", *options, fault.test],
            cwd=copy,
            env={**os.environ, "AGENTFLOW_STACK_HOME": str(home()), "PATH": path},
            check=False,
            capture_output=True,
            text=True,
        ).stdout
    finally:
        place.write_text(before)
        _end_what_is_left(scratch)


def _end_what_is_left(scratch: Path) -> None:
    """Kill what a test with a fault could not stop."""
    for file in list(scratch.glob("*/*/*.pid")):
        found = Identity.parse(file.read_text()) if file.exists() else None
        if found is not None and found.alive:
            found.kill_family()
    leftovers.sweep()


if __name__ == "__main__":
    sys.exit(main())
