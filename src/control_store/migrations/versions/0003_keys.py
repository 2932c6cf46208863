"""Stored API keys, and the digests they are found by."""

import sqlalchemy as sa
from alembic import op

from control_store.metadata import WHOLE

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "api_keys",
        sa.Column("number", WHOLE, primary_key=True, autoincrement=False),
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("mode", sa.Text, nullable=False),
        sa.Column("grant", sa.Text, nullable=False),
        sa.Column("created_us", WHOLE, nullable=False),
        sa.Column("created_by", sa.Text, nullable=False),
        sa.Column("expires_us", WHOLE),
        sa.Column("revoked_us", WHOLE),
        sa.Column("revoked_by", sa.Text),
        sa.Column("last_used_us", WHOLE),
        sa.Column("uses", WHOLE, nullable=False),
        sa.Column("changed", WHOLE, nullable=False),
        sa.CheckConstraint("mode IN ('live', 'test')", name="api_keys_mode"),
        sqlite_strict=True,
    )
    op.create_index("api_keys_by_id", "api_keys", ["id"], unique=True)
    op.create_index("api_keys_by_change", "api_keys", ["changed"])
    op.create_index("api_keys_by_tenant", "api_keys", ["tenant", "number"])
    op.create_table(
        "api_key_digests",
        sa.Column("digest", sa.LargeBinary, primary_key=True),
        sa.Column("key_id", sa.Text, nullable=False),
        sa.Column("created_us", WHOLE, nullable=False),
        sa.Column("ends_us", WHOLE),
        sqlite_with_rowid=False,
        sqlite_strict=True,
    )
    op.create_index("api_key_digests_by_key", "api_key_digests", ["key_id"])


def downgrade() -> None:
    """Take them away: an AgentFlow without stored keys takes none."""
    for table in ("api_key_digests", "api_keys"):
        op.drop_table(table)
