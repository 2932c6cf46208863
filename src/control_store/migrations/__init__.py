"""From each version of the tables to the next, and back: Alembic's scripts, and what runs them."""
