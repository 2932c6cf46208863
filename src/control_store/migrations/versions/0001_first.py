"""Idempotency keys, decisions about dead letters, and the history of contracts."""

import sqlalchemy as sa
from alembic import op

from control_store.metadata import WHOLE

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "idempotency",
        sa.Column("tenant", sa.Text, primary_key=True),
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("fingerprint", sa.LargeBinary, nullable=False),
        sa.Column("begun_us", WHOLE, nullable=False),
        sa.Column("status", sa.Integer),
        sa.Column("headers", sa.Text),
        sa.Column("body", sa.LargeBinary),
        sa.CheckConstraint("headers IS NULL OR json_valid(headers)").ddl_if(dialect="sqlite"),
        sqlite_with_rowid=False,
        sqlite_strict=True,
    )
    op.create_index("idempotency_by_age", "idempotency", ["begun_us"])
    op.create_table(
        "triage",
        sa.Column("offset", WHOLE, primary_key=True, autoincrement=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("who", sa.Text, nullable=False),
        sa.Column("decided_us", WHOLE, nullable=False),
        sa.Column("replayed_as", WHOLE),
        sa.Column("fixed_value", sa.LargeBinary),
        sa.CheckConstraint(
            "status IN ('open', 'fixed', 'replayed', 'discarded')", name="triage_status"
        ),
        sqlite_strict=True,
    )
    op.create_index("triage_by_status", "triage", ["status", "offset"])
    op.create_table(
        "changelog",
        sa.Column("sequence", WHOLE, primary_key=True, autoincrement=False),
        sa.Column("published_us", WHOLE, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("version", WHOLE, nullable=False),
        sa.Column("fingerprint", sa.Text, nullable=False),
        sa.Column("summary", sa.Text, nullable=False),
        sqlite_strict=True,
    )
    op.create_index("changelog_by_contract", "changelog", ["kind", "name", "version"])


def downgrade() -> None:
    """Take them away."""
    for table in ("changelog", "triage", "idempotency"):
        op.drop_table(table)
