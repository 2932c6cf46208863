"""The gate of a stream as a plain process, where no Flink runs: judge, count each identity once."""
