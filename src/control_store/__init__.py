"""What cannot be computed again from events: small, precious, transactional.

One folder for each concern: its port, its tables, its statements. A database stands behind all of
them, SQLite or PostgreSQL; the statements are the same.
"""
