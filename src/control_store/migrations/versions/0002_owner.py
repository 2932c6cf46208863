"""A claim of an idempotency key names the process that made it: several may share a database."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the owner; of claims that are there already it is not known, so nobody has them."""
    op.add_column("idempotency", sa.Column("owner", sa.Text, nullable=False, server_default=""))


def downgrade() -> None:
    """Forget who owns what."""
    op.drop_column("idempotency", "owner")
