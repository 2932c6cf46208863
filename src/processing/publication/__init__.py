"""New contracts while events keep arriving: backfill, compare, swap."""
