"""Jobs for Flink: the only place that imports pyflink, in Flink's own environment."""
