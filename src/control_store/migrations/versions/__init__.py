"""One script for each version."""
