"""Installing once: jars by Maven, Debian packages by apt, under a lock between processes."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stack.errors import StackError
from stack.home import REPOSITORY, found, home, program

POMS = Path(__file__).with_name("poms")
MAVEN_WITHIN = 600.0
DEBIAN_WITHIN = 600.0


@contextmanager
def lock(name: str) -> Iterator[None]:
    """Hold a lock between processes while something is installed."""
    path = home() / "locks" / name
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
    run(
        [
            *(maven, "--quiet", "--batch-mode", "--file", str(pom)),
            *("dependency:copy-dependencies", f"-DoutputDirectory={target}"),
            f"-DexcludeTransitive={str(not transitive).lower()}",
        ],
        within=MAVEN_WITHIN,
        fix="Look at the message of Maven above: its settings.xml names the registry it asks.",
    )


def debian_program(name: str, *, package: str, places: tuple[str, ...] = ()) -> str:
    """Return the path of a program, after installing its Debian package when it is missing."""
    with lock("debian"):
        if not found(name, places):
            debian(package)
    return program(name, packages=package, places=places)


def debian(*packages: str) -> None:
    """Install Debian packages; their own services are not started."""
    run(
        [str(REPOSITORY / "scripts" / "install-debian"), *packages],
        within=DEBIAN_WITHIN,
        fix=f"Install them by hand: {' '.join(packages)}.",
    )


def run(argv: list[str], *, within: float, fix: str, stdin: str = "") -> str:
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
        )
    except subprocess.TimeoutExpired as error:
        raise StackError(f'"{argv[0]}" took more than {within:.0f} s', fix=fix) from error
    if done.returncode:
        said = (done.stdout + done.stderr).strip()[-2000:]
        raise StackError(f'"{argv[0]}" ended with {done.returncode}: {said}', fix=fix)
    return done.stdout
