"""The flags every Java service gets: capped heap, little background work on two cores."""

from __future__ import annotations

from pathlib import Path

from stack.home import java


def command(main: str, *arguments: str, classpath: Path, heap_mb: int) -> tuple[str, ...]:
    """Return the command line of a Java program whose jars are all in one directory.

    The serial collector and one compiler thread per tier are what two cores can feed; memory
    outside the heap is capped too, because that is where a JVM surprises.
    """
    return (
        java(),
        *("-Xms64m", f"-Xmx{heap_mb}m", "-XX:+UseSerialGC"),
        *("-XX:MaxMetaspaceSize=192m", "-XX:ReservedCodeCacheSize=96m"),
        f"-XX:MaxDirectMemorySize={max(64, heap_mb // 4)}m",
        "-XX:+ExitOnOutOfMemoryError",
        "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
        "-Dorg.slf4j.simpleLogger.showDateTime=true",
        *("-cp", f"{classpath}/*", main),
        *arguments,
    )


def properties(values: dict[str, object]) -> str:
    """Write a Java properties file; backslashes and line ends in values are escaped."""
    lines = []
    for key, value in values.items():
        text = str(value).lower() if isinstance(value, bool) else str(value)
        escaped = text.replace("\\", "\\\\").replace("\n", "\\n")
        lines.append(f"{key}={escaped}\n")
    return "".join(lines)
