"""The control store in PostgreSQL."""
