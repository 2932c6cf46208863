"""The HTTP surface: one file for each resource under `/v1`, one for each convention."""
