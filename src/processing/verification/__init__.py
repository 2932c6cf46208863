"""Live equals recompute: every number can be computed again from the lake."""
