"""What `python -m stack` does: install, up, down, status, env."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Timer

from stack import application, class_data, state, topology
from stack.home import home
from stack.install import lock, programs
from stack.jobs import install_wheel
from stack.path import StreamPath
from stack.service import Service
from stack.services import Flink
from stack.state import Status

_WORTH_SAYING_SECONDS = 1.0
_ARCHIVED_WITHIN = 300.0
_FLINKS_OWN = ("FLINK_HOME", "FLINK_CONF_DIR")


def install(names: Sequence[str]) -> int:
    """Download and install; quick when all is there."""
    wanted = topology.services(Path(), names)
    programs(*(each for service in wanted for each in service.programs))
    with ThreadPoolExecutor() as at_once:  # each waits for downloads most of the time
        list(at_once.map(_install, wanted))
    _record_classes(names)
    return 0


def _install(service: Service) -> None:
    began = time.monotonic()
    long = Timer(_WORTH_SAYING_SECONDS, _say, (service, "installing …"))
    long.start()
    try:
        service.install()
    finally:
        long.cancel()
    took = time.monotonic() - began
    if took > _WORTH_SAYING_SECONDS:
        _say(service, f"installed in {took:.1f} s")


def _record_classes(names: Sequence[str]) -> None:
    """Start each Java program once to record what it loads; quick when that is done."""
    with lock("classes"), TemporaryDirectory(dir=home()) as scratch:
        place = Path(scratch)
        programs = [each for each in topology.attach(place, names) if each.archives]
        if all(path.exists() for each in programs for path in each.archives):
            return
        _line("java", "", "archiving classes …")
        began = time.monotonic()
        one_of_each = {each.archives: each for each in reversed(programs)}
        with class_data.recorded(place / "classes"), ExitStack() as running:
            for service in reversed(one_of_each.values()):
                running.callback(service.stop, within=_ARCHIVED_WITHIN)
                service.start(place / service.name)
        _line("java", "", f"classes archived in {time.monotonic() - began:.1f} s")


def up(
    directory: Path, names: Sequence[str], *, contracts: Path | None, app: bool, as_json: bool
) -> int:
    """Start what does not run yet, and write who listens where.

    With *app*, the platform as well: topics, tables, both jobs, connectors, API. Returns 1 when a
    job that was started before is gone and was not asked for.
    """
    with lock("stack", directory):
        chosen = contracts or application.contracts_in(directory) or topology.CONTRACTS
        application.require_same(directory, chosen)
        services = topology.attach(directory, names, contracts=chosen)
        _install_platform(directory, services)
        for service in services:
            _ensure(service, directory)
        path = application.planned(directory, chosen)
        if app:
            application.bring_up(path, _told)
            _ensure(path.api, directory)
            _line("platform", "", f"{path.api.url}  page and API; docs at {path.api.url}/docs")
    if as_json:
        sys.stdout.write(state.encode(state.read(directory)))
    return 0 if _jobs_are_well(path) else 1


def down(directory: Path, names: Sequence[str]) -> int:
    """Stop what runs, and nothing else of what it needs; data stays."""
    with lock("stack", directory):
        known = state.read(directory)
        wanted = [name for name in known if not names or name in names]
        for service in reversed(_attached(directory)):
            if service.name in wanted:
                _line(service.name, service.version, "stopping …")
                service.stop()
                _say(service, "stopped")
        left = state.without(known, wanted)
        state.write(directory, left)
        if not left:
            application.forget(directory)
    if not wanted:
        sys.stderr.write("nothing runs\n")
    return 0


def status(directory: Path, names: Sequence[str], *, as_json: bool) -> int:
    """Ask every service that was started how it is; 1 when one, or a job, is not well."""
    wanted = [name for name in state.read(directory) if not names or name in names]
    if not wanted:
        sys.stderr.write("nothing runs: python -m stack up\n")
        return 1
    found = {each: Status.of(each) for each in _attached(directory) if each.name in wanted}
    if as_json:
        sys.stdout.write(state.encode({each.name: status for each, status in found.items()}))
    else:
        for service, status in found.items():
            _say(service, f"{'healthy' if status.healthy else 'DOWN':<17} {status}")
    jobs = _jobs_are_well(_path(directory)) if not names else True
    return 0 if jobs and all(status.healthy for status in found.values()) else 1


def env(directory: Path) -> int:
    """Print, for a shell, the settings that lead the platform's commands to these services."""
    path = _path(directory)
    flink = path.flink.client_environment
    found = path.environment | {
        "AGENTFLOW_CONNECT_URL": path.connect.url,
        "AGENTFLOW_URL": path.api.url,
        "AGENTFLOW_CONTRACTS_DIR": str(path.contracts),
        "FLINK": path.flink.url.removeprefix("http://"),
        "FLINK_LAKE": path.lake_flink.url.removeprefix("http://"),
        "FLINK_PYTHON": str(_flink_python(path)),
        **{name: flink[name] for name in _FLINKS_OWN},
    }
    for name, value in found.items():
        sys.stdout.write(f"export {name}={shlex.quote(value)}\n")
    return 0


def _flink_python(path: StreamPath) -> Path:
    """Write a program that is Flink's interpreter with the platform's wheel on its path.

    In an environment for workers the wheel is installed; here it lies beside one that is shared.
    Where Flink is, and its configuration, the shell says.
    """
    program = path.directory / "flink-python"
    settings = " ".join(
        f"{name}={shlex.quote(value)}"
        for name, value in path.flink.client_environment.items()
        if name not in _FLINKS_OWN
    )
    program.write_text(f'#!/bin/sh\nexec env {settings} {path.flink.python} "$@"\n')
    program.chmod(0o755)
    return program


def _path(directory: Path) -> StreamPath:
    return application.planned(directory, application.contracts_in(directory) or topology.CONTRACTS)


def _attached(directory: Path) -> list[Service]:
    """Return every service of a directory, and the platform last."""
    path = _path(directory)
    return [*topology.attach(directory, contracts=path.contracts), path.api]


def _install_platform(directory: Path, services: Sequence[Service]) -> None:
    """Give Flink's workers this checkout's wheel; not under a cluster that runs."""
    clusters = [each for each in services if isinstance(each, Flink)]
    if clusters and not any(each.pids for each in clusters):
        _line("platform", "wheel", "installing for Flink's workers …")
        install_wheel(directory / topology.WHEEL)


def _ensure(service: Service, directory: Path) -> None:
    dead = [each.name for each in service.processes.values() if not each.alive]
    if dead:
        part = f" ({', '.join(dead)})" if len(dead) < len(service.processes) else ""
        _say(service, f"starting{part} …")
    began = time.monotonic()
    service.ensure(directory / service.name, detached=True)
    said = f"ready in {time.monotonic() - began:.1f} s" if dead else "already running"
    status = Status.of(service)
    state.write(directory, state.read(directory) | {service.name: status})
    _say(service, f"{said:<17} {status}")


def _jobs_are_well(path: StreamPath) -> bool:
    found = list(application.jobs(path))
    for job in found:
        _line(f"job {job.name}", "", str(job))
    return all(job.healthy for job in found)


def _told(name: str, seconds: float | None, place: str) -> None:
    _line(name, "", "starting …" if seconds is None else f"ready in {seconds:<8.1f} {place}")


def _say(service: Service, what: str) -> None:
    _line(service.name, service.version, what)


def _line(name: str, version: str, what: str) -> None:
    sys.stderr.write(f"{name:<13} {version:<30} {what}\n")
    sys.stderr.flush()
