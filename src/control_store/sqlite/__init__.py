"""The control store in one SQLite file."""
