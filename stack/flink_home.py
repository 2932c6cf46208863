"""The installation of Flink: the pip package of `environments/flink` with connector jars beside."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from stack import install
from stack.home import REPOSITORY, found, home, program

ENVIRONMENT = REPOSITORY / "environments" / "flink"
_WITHIN = 900.0
_FIX = "Run `uv sync --frozen --project environments/flink` and look at what it says."


@dataclass(frozen=True, slots=True)
class FlinkHome:
    """A virtual environment for workers and a FLINK_HOME; both shared, neither is written to."""

    environment: Path
    directory: Path

    @property
    def python(self) -> Path:
        """The interpreter of the workers, with pyflink."""
        return self.environment / "bin" / "python"

    @property
    def library(self) -> Path:
        """The directory with every jar of the class path."""
        return self.directory / "lib"

    @property
    def package(self) -> Path:
        """The directory of the pyflink package."""
        return _package(self.environment)


def _package(environment: Path) -> Path:
    return next(environment.glob("lib/python3*/site-packages/pyflink"))


def prepare() -> FlinkHome:
    """Return the installation, made once per lock file and list of jars."""
    environment = _environment()
    jars = install.jars("flink")
    made_from = (ENVIRONMENT / "uv.lock", install.POMS / "flink.xml", Path(__file__))
    target = home() / "flink" / f"home-{install.fingerprint(*made_from)}"
    with install.built_once(target) as partial:
        if partial is not None:
            _assemble(_package(environment), jars, partial)
    return FlinkHome(environment, target)


def _environment() -> Path:
    """Make the virtual environment of `environments/flink/uv.lock`; it may be moved."""
    sources = (ENVIRONMENT / "pyproject.toml", ENVIRONMENT / "uv.lock")
    target = home() / "flink" / f"environment-{install.fingerprint(*sources)}"
    with install.built_once(target) as partial:
        if partial is not None:
            partial.rmdir()
            options = ("--relocatable", "--python", "3.11", "--quiet", str(partial))
            install.run([uv(), "venv", *options], within=_WITHIN, fix=_FIX)
            install.run(
                [uv(), "sync", "--frozen", "--quiet", "--project", str(ENVIRONMENT)],
                within=_WITHIN,
                fix=_FIX,
                environment={"UV_PROJECT_ENVIRONMENT": str(partial), "VIRTUAL_ENV": ""},
            )
    return target


def uv() -> str:
    """Find uv where the Makefile put it on a machine that had none."""
    beside = str(REPOSITORY / ".tools" / "bin")
    return found("uv", (beside,)) or program("uv", packages="python3-venv; make setup")


def _assemble(package: Path, jars: Path, target: Path) -> None:
    """Lay out a FLINK_HOME of links.

    flink-python is on the class path itself: in thread mode, its bridge to Python must be loaded
    once, by the parent class loader.
    """
    bridge = "opt/flink-python-*.jar"
    _link(target / "lib", *package.glob("lib/*.jar"), *package.glob(bridge), *jars.glob("*.jar"))
    _link(target / "opt", *package.glob("opt/*.jar"))
    (target / "plugins").symlink_to(package / "plugins")
    shutil.copytree(package / "bin", target / "bin")
    for script in (target / "bin").iterdir():
        script.chmod(0o755)


def _link(target: Path, *jars: Path) -> None:
    """Fill a real directory with links: Flink's search does not follow one that is a link."""
    target.mkdir()
    for jar in jars:
        (target / jar.name).symlink_to(jar)
