"""The history of contracts."""
