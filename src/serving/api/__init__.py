"""The HTTP surface under `/v1`: one file for each resource, one for each convention."""
