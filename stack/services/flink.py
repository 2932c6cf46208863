"""Flink: a session cluster of one JobManager and one TaskManager, tuned for latency."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Mapping
from pathlib import Path

from stack import class_data, flink_home, install, jvm, probe
from stack.errors import StackError
from stack.home import LOOPBACK
from stack.process import Command, Process
from stack.service import Service
from stack.services.flink_settings import Memory, settings

_JOB_MANAGER = "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint"
_TASK_MANAGER = "org.apache.flink.runtime.taskexecutor.TaskManagerRunner"
_SUBMIT_WITHIN = 600.0
_LAKE_NICENESS = 10
_LOGGING = """\
rootLogger.level = INFO
rootLogger.appenderRef.console.ref = console
appender.console.name = console
appender.console.type = CONSOLE
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d %-5p %c{1} - %m%n
"""


class Flink(Service):
    """The cluster. `jobmanager` and `taskmanager` can be killed and started one by one.

    Without a quorum service a JobManager that died has lost its jobs: submit them again from
    `checkpoint_directory`, where completed checkpoints stay.
    """

    name = "flink"
    version = "2.1.3"
    parts = ("jobmanager", "taskmanager")
    port_names = ("rest", "rpc", "blob", "task_rpc", "task_data")

    def __init__(
        self,
        *,
        slots: int = 4,
        memory: Memory | None = None,
        pythonpath: tuple[Path, ...] = (),
        options: Mapping[str, object] | None = None,
        without_c2: bool = True,
        niceness: int = 0,
    ) -> None:
        """Plan a cluster.

        Args:
            slots: Tasks of parallelism one that run at a time.
            memory: What each process may take.
            pythonpath: Directories that jobs and workers import from.
            options: Configuration that wins over ours, by dotted name.
            without_c2: Skip Java's optimising compiler: answers soon come evenly, at a lower rate
                than the job would reach after some minutes.
            niceness: How much its TaskManager yields to other processes, from 0 to 19.
        """
        super().__init__()
        self.slots = slots
        self._memory = memory or Memory()
        self._pythonpath = pythonpath
        self._options = dict(options or {})
        self._without_c2 = without_c2
        self._niceness = niceness

    @property
    def jobmanager(self) -> Process:
        """The process that schedules jobs and completes checkpoints."""
        return self.processes["jobmanager"]

    @property
    def taskmanager(self) -> Process:
        """The process that runs tasks."""
        return self.processes["taskmanager"]

    @property
    def url(self) -> str:
        """The REST interface and web page."""
        return f"http://{LOOPBACK}:{self.port('rest')}"

    @property
    def checkpoint_directory(self) -> Path:
        """Where checkpoints of jobs are kept."""
        return self.directory / "checkpoints"

    @property
    def python(self) -> Path:
        """The interpreter that has pyflink."""
        return flink_home.prepare().python

    @property
    def addresses(self) -> Mapping[str, str]:
        """The REST interface."""
        return {"url": self.url}

    @property
    def client_environment(self) -> dict[str, str]:
        """The environment in which `flink`, pyflink and the embedded interpreter find things.

        The interpreter inside the TaskManager takes its packages from the first `python3` on the
        PATH, whatever `python.executable` says.
        """
        installed = flink_home.prepare()
        programs = [str(installed.python.parent), os.environ.get("PATH", os.defpath)]
        known = [str(path) for path in self._pythonpath]
        path = os.pathsep.join([*known, *filter(None, [os.environ.get("PYTHONPATH")])])
        return {
            "PATH": os.pathsep.join(programs),
            "VIRTUAL_ENV": str(installed.environment),
            "FLINK_HOME": str(installed.directory),
            "FLINK_CONF_DIR": str(self._configuration),
            "FLINK_LOG_DIR": str(self.directory),
            "FLINK_PLUGINS_DIR": str(installed.directory / "plugins"),
            **({"PYTHONPATH": path} if path else {}),
        }

    def submit(self, script: Path, *arguments: str, savepoint: str | None = None) -> str:
        """Run a Python job, detached, and return its id.

        Args:
            script: The program that builds and executes the job.
            arguments: Its arguments.
            savepoint: The checkpoint or savepoint to start from.

        Raises:
            StackError: The job was refused.
        """
        since = ("--fromSavepoint", savepoint) if savepoint else ()
        flink = flink_home.prepare().directory / "bin" / "flink"
        said = install.run(
            [str(flink), "run", "--detached", *since, "--python", str(script), *arguments],
            within=_SUBMIT_WITHIN,
            fix=f"Read {self.log_path} and {self.taskmanager.log_path}.",
            environment=self.client_environment,
        )
        submitted = re.search(r"JobID ([0-9a-f]{32})", said)
        if submitted is None:
            raise StackError(f"no job was submitted: {said[-2000:]}", fix=f"Correct {script}.")
        return submitted[1]

    def install(self) -> None:
        """Make the environment and the FLINK_HOME."""
        flink_home.prepare()

    @property
    def archives(self) -> tuple[Path, ...]:
        """That of the JobManager, which a client that submits a job maps as well, and the other."""
        library = flink_home.prepare().library
        return tuple(class_data.archive(main, library) for main in (_JOB_MANAGER, _TASK_MANAGER))

    def prepare(self) -> None:
        """Write the configuration that servers and clients share."""
        installed = flink_home.prepare()
        if not self._configuration.exists():
            shutil.copytree(installed.package / "conf", self._configuration)
        (self._configuration / "log4j-server.properties").write_text(_LOGGING)
        values = settings(
            ports=self._ports,
            slots=self.slots,
            memory=self._memory,
            python=installed.python,
            directory=self.directory,
        )
        values |= jvm.flink_client_options(self.archives[0])
        lines = [f"{name}: {_yaml(value)}\n" for name, value in (values | self._options).items()]
        (self._configuration / "config.yaml").write_text("".join(lines))

    def command(self, part: str) -> Command:
        """Run one of the two without Flink's scripts, which start Java twice to do so."""
        configuration = ("--configDir", str(self._configuration))
        if part == "jobmanager":
            argv = self._java(_JOB_MANAGER, *configuration, heap_mb=self._memory.job_heap_mb)
            return Command(argv, self.client_environment)
        identity = f"taskmanager-{time.monotonic_ns()}"
        self._identity.write_text(identity)
        own = ("-D", f"taskmanager.resource-id={identity}")
        heap_mb = self._memory.task_heap_mb + self._memory.framework_heap_mb
        argv = self._java(_TASK_MANAGER, *configuration, *own, heap_mb=heap_mb)
        return Command(argv, self.client_environment, self._niceness)

    def healthy(self) -> bool:
        """Ask which TaskManagers are registered: the one that runs now, with all its slots."""
        if not self.taskmanager.alive:
            return False  # the JobManager lists it until it notices
        answer = probe.http_json(f"{self.url}/taskmanagers")
        if answer is None or not self._identity.exists():
            return False
        found = {each["id"]: each["slotsNumber"] for each in answer.get("taskmanagers", ())}
        return found == {self._identity.read_text(): self.slots}

    @property
    def _configuration(self) -> Path:
        return self.directory / "conf"

    @property
    def _identity(self) -> Path:
        return self.directory / "taskmanager.id"

    def _java(self, main: str, *arguments: str, heap_mb: int) -> tuple[str, ...]:
        logging = f"-Dlog4j.configurationFile=file:{self._configuration}/log4j-server.properties"
        limits = (
            f"-XX:MaxDirectMemorySize={self._memory.direct_mb}m",
            f"-XX:MaxMetaspaceSize={self._memory.metaspace_mb}m",
        )
        return jvm.command(
            main,
            *arguments,
            classpath=flink_home.prepare().library,
            heap_mb=heap_mb,
            without_c2=self._without_c2,
            flags=(*jvm.OPENED_FOR_FLINK, logging, *limits),
        )


class LakeFlink(Flink):
    """A cluster for the lake job: it takes what the others leave (docs/adr/0020).

    Its rows wait for the next commit, the events of the gate for nothing.
    """

    name = "flink-lake"
    ready_within = 600.0  # it yields to all others while it starts, too

    def __init__(self, *, pythonpath: tuple[Path, ...] = (), without_c2: bool = True) -> None:
        """Plan it; see `Flink`."""
        super().__init__(
            slots=2, pythonpath=pythonpath, without_c2=without_c2, niceness=_LAKE_NICENESS
        )


def _yaml(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
