"""A stream of records that other processes judge: what is asked of its broker."""
