"""The gate as a Flink job. Only `judge` and `job` import pyflink, in Flink's own environment."""
