"""Jobs for Flink: the only place that imports pyflink."""
