"""The flags every Java service gets: capped heap, little background work on two cores."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from stack import class_data
from stack.home import java

_FLINK_EXPORTS = (
    "java.rmi/sun.rmi.registry",
    *(f"jdk.compiler/com.sun.tools.javac.{name}" for name in ("api", "file", "parser", "tree")),
    "jdk.compiler/com.sun.tools.javac.util",
    "java.security.jgss/sun.security.krb5",
)
_FLINK_OPENS = (
    *(f"java.base/java.{name}" for name in ("lang", "net", "io", "nio", "text", "time", "util")),
    "java.base/sun.nio.ch",
    "java.base/java.lang.reflect",
    "java.base/java.util.concurrent",
    "java.base/java.util.concurrent.atomic",
    "java.base/java.util.concurrent.locks",
)
OPENED_FOR_FLINK = (
    *(f"--add-exports={name}=ALL-UNNAMED" for name in _FLINK_EXPORTS),
    *(f"--add-opens={name}=ALL-UNNAMED" for name in _FLINK_OPENS),
)


def command(
    main: str,
    *arguments: str,
    classpath: Path,
    heap_mb: int,
    without_c2: bool = False,
    flags: Sequence[str] = (),
) -> tuple[str, ...]:
    """Return the command line of a Java program whose jars are all in one directory.

    Args:
        main: The class.
        arguments: Its arguments.
        classpath: The directory of jars.
        heap_mb: The most its heap may grow to.
        without_c2: Skip Java's optimising compiler, C2: a quarter less CPU until it is ready, for
            services whose throughput nobody measures.
        flags: More, which win over ours.

    The serial collector and one compiler thread per tier are what two cores can feed; memory
    outside the heap is capped too, because that is where a JVM surprises.
    """
    return (
        java(),
        *class_data.flags(main, classpath),
        *("-Xms64m", f"-Xmx{heap_mb}m", "-XX:+UseSerialGC"),
        *("-XX:MaxMetaspaceSize=192m", "-XX:ReservedCodeCacheSize=96m"),
        f"-XX:MaxDirectMemorySize={max(64, heap_mb // 4)}m",
        *(("-XX:TieredStopAtLevel=1",) if without_c2 else ()),
        "-XX:+ExitOnOutOfMemoryError",
        "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
        "-Dorg.slf4j.simpleLogger.showDateTime=true",
        *flags,
        *("-cp", f"{classpath}/*", main),
        *arguments,
    )


def flink_client_options(archive: Path) -> dict[str, object]:
    """Return Flink's options for the Java that submits a job, which lives for a minute at most.

    The options named after the client reach `flink run` alone, not pyflink's own Java: that had the
    optimising compiler, the threads of its collector and a quarter of the memory.
    """
    brief = ("-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
    classes = class_data.mapped(archive) if archive.exists() else ()
    return {"env.java.opts.all": " ".join((*OPENED_FOR_FLINK, *brief, *classes))}


def properties(values: dict[str, object]) -> str:
    """Write a Java properties file; backslashes and line ends in values are escaped."""
    lines = []
    for key, value in values.items():
        text = str(value).lower() if isinstance(value, bool) else str(value)
        escaped = text.replace("\\", "\\\\").replace("\n", "\\n")
        lines.append(f"{key}={escaped}\n")
    return "".join(lines)
