"""Runs Alembic's scripts inside a transaction that is open already."""

from __future__ import annotations

from pathlib import Path

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext, RevisionStep
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from control_store.schema import FIRST, VERSION_TABLE, VERSIONS, stamp, version_of


def scripts() -> ScriptDirectory:
    """Return the scripts, as Alembic sees them."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.set_main_option("path_separator", "os")
    return ScriptDirectory.from_config(config)


def migrate(connection: Connection, to: str) -> None:
    """Bring the tables to version *to*, up or down, in the transaction of *connection*.

    Raises:
        StorageError: A newer AgentFlow made them.
    """
    before = version_of(connection)
    if before == FIRST:
        stamp(connection, FIRST)  # the first had no table of versions
    directory = scripts()
    down = before is not None and VERSIONS.index(to) < VERSIONS.index(before)

    def steps(revision: tuple[str, ...], _: MigrationContext) -> list[RevisionStep]:
        if down:
            return directory._downgrade_revs(to, revision)  # type: ignore[arg-type]  # noqa: SLF001 - as Alembic's own commands do
        return directory._upgrade_revs(to, revision)  # type: ignore[arg-type]  # noqa: SLF001

    with EnvironmentContext(directory_config(directory), directory, fn=steps) as environment:
        environment.configure(
            connection=connection,
            transactional_ddl=True,
            version_table=VERSION_TABLE.name,
        )
        environment.run_migrations()


def directory_config(directory: ScriptDirectory) -> Config:
    """Return the configuration that found *directory*."""
    config = Config()
    config.set_main_option("script_location", directory.dir)
    config.set_main_option("path_separator", "os")
    return config
