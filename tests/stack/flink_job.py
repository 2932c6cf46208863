"""A job that needs everything a real one needs of the cluster: SQL, a Python function, state."""

from __future__ import annotations

from pyflink.table import DataTypes, EnvironmentSettings, TableEnvironment
from pyflink.table.udf import udf


@udf(result_type=DataTypes.BIGINT())  # type: ignore[untyped-decorator]
def bucket(number: int) -> int:
    return number % 10


if __name__ == "__main__":
    tables = TableEnvironment.create(EnvironmentSettings.in_streaming_mode())
    tables.get_config().set("execution.checkpointing.interval", "500 ms")
    tables.create_temporary_function("bucket", bucket)
    tables.execute_sql(
        "CREATE TEMPORARY TABLE numbers (number BIGINT) WITH ('connector'='datagen',"
        " 'rows-per-second'='20')"
    )
    tables.execute_sql(
        "CREATE TEMPORARY TABLE counts (bucket BIGINT, counted BIGINT)"
        " WITH ('connector'='blackhole')"
    )
    tables.execute_sql(
        "INSERT INTO counts SELECT bucket, count(*) FROM"
        " (SELECT bucket(number) AS bucket FROM numbers) GROUP BY bucket"
    )
