"""Installing once: jars by Maven, Debian packages by apt, under a lock between processes."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from stack.errors import StackError
from stack.home import REPOSITORY, found, home, program

POMS = Path(__file__).with_name("poms")
MAVEN_WITHIN = 600.0
DEBIAN_WITHIN = 600.0


@contextmanager
def lock(name: str, directory: Path | None = None) -> Iterator[None]:
    """Hold a lock between processes: of all checkouts, or of those that use `directory`."""
    path = (directory or home() / "locks") / f"{name}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def fingerprint(*sources: Path) -> str:
    """Name a build after the files it is made from: a changed version is a new build."""
    digest = hashlib.sha256()
    for source in sources:
        digest.update(source.read_bytes())
    return digest.hexdigest()[:12]


@contextmanager
def built_once(target: Path) -> Iterator[Path | None]:
    """Yield a directory to build in, moved to `target` at the end; None when it is there already.

    A build that is cut off leaves nothing that looks finished.
    """
    if target.is_dir():
        yield None
        return
    with lock(target.name):
        if target.is_dir():
            yield None
            return
        partial = target.with_name(f"{target.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        yield partial
        partial.rename(target)


def jars(name: str, *, transitive: bool = True) -> Path:
    """Return the directory with what `poms/<name>.xml` depends on, after one download."""
    pom = POMS / f"{name}.xml"
    target = home() / "jars" / f"{name}-{fingerprint(pom)}"
    with built_once(target) as partial:
        if partial is not None:
            _copy_dependencies(pom, partial, transitive=transitive)
    return target


def _copy_dependencies(pom: Path, target: Path, *, transitive: bool) -> None:
    maven = program("mvn", packages="maven")
    command = [
        *(maven, "--quiet", "--batch-mode", "--file", str(pom)),
        *("dependency:copy-dependencies", f"-DoutputDirectory={target}"),
        f"-DexcludeTransitive={str(not transitive).lower()}",
    ]
    fix = "Look at the message of Maven above: its settings.xml names the registry it asks."
    with lock("maven"):  # two of them at once may damage the repository of this user
        run(command, within=MAVEN_WITHIN, fix=fix)


@dataclass(frozen=True, slots=True)
class Program:
    """A program, the Debian package that brings it, and a place that is not on the PATH."""

    name: str
    package: str
    place: str = ""

    @property
    def installed(self) -> bool:
        """True when it is found."""
        return found(self.name, (self.place,)) is not None

    @property
    def path(self) -> str:
        """Where it is.

        Raises:
            NotInstalledError: It is not there.
        """
        return program(self.name, packages=self.package, places=(self.place,))


def programs(*wanted: Program) -> None:
    """Install the Debian packages of what is missing; their own services are not started."""
    if all(each.installed for each in wanted):
        return
    with lock("debian"):
        missing = sorted({each.package for each in wanted if not each.installed})
        if missing:
            run(
                [str(REPOSITORY / "scripts" / "install-debian"), *missing],
                within=DEBIAN_WITHIN,
                fix=f"Install them by hand: {' '.join(missing)}.",
            )


def run(
    argv: Sequence[str],
    *,
    within: float,
    fix: str,
    stdin: str = "",
    environment: Mapping[str, str] | None = None,
) -> str:
    """Run a program to its end and return what it printed.

    Raises:
        StackError: It failed, or took too long.
    """
    try:
        done = subprocess.run(
            argv,
            capture_output=True,
            text=True,
            timeout=within,
            check=False,
            input=stdin,
            env={**os.environ, **(environment or {})},
        )
    except subprocess.TimeoutExpired as error:
        raise StackError(f'"{argv[0]}" took more than {within:.0f} s', fix=fix) from error
    if done.returncode:
        said = (done.stdout + done.stderr).strip()[-2000:]
        raise StackError(f'"{argv[0]}" ended with {done.returncode}: {said}', fix=fix)
    return done.stdout
