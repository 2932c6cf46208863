"""Forks platforms from one process that has imported everything: a start costs no imports.

Run as a script; each line on stdin asks for one command, each line on stdout is its pid.
When stdin ends, the platforms that are left are killed.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import signal
import sys
from typing import Any, NoReturn

import pyarrow.dataset
import pyarrow.parquet

import serving.demo
import serving.wiring
from agentflow_cli import gate, service, up
from agentflow_cli import main as agentflow

USED = (pyarrow.dataset, pyarrow.parquet, serving.demo, serving.wiring, gate, service, up)


def child(asked: dict[str, Any]) -> NoReturn:
    """Become a platform."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for descriptor, path in ((1, asked["out"]), (2, asked["err"])):
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(file, descriptor)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.environ.clear()
    os.environ.update(asked["environment"])
    if asked["largest_file_bytes"] is not None:
        limit = asked["largest_file_bytes"]
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    code = 1
    try:
        agentflow(args=asked["arguments"], prog_name="agentflow")
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:  # noqa: BLE001 - the child must never go on as a nursery
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stderr.flush()
        os._exit(code)


def main() -> None:  # noqa: C901 - a process of its own
    """Fork on demand, note how each child ended."""
    exits: dict[int, str] = {}
    early: dict[int, int] = {}

    def reap(*_: object) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            note(pid, os.waitstatus_to_exitcode(status))

    def note(pid: int, code: int) -> None:
        if pid not in exits:
            early[pid] = code
            return
        path = exits.pop(pid)
        with open(path + ".new", "w") as file:  # noqa: PTH123 - inside a signal handler
            file.write(str(code))
        os.rename(path + ".new", path)  # noqa: PTH104

    signal.signal(signal.SIGCHLD, reap)
    gc.freeze()
    print("ready", flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        pid = os.fork()
        if pid == 0:
            child(asked)
        exits[pid] = asked["exit"]
        if pid in early:
            note(pid, early.pop(pid))
        print(pid, flush=True)
    for pid in list(exits):
        os.kill(pid, signal.SIGKILL)
    os._exit(0)  # DuckDB's bindings complain at an ordinary end


if __name__ == "__main__":
    main()
