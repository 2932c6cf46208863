"""The bus: its port, and the SQLite log that is the embedded default."""
