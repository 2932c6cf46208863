"""The running embedded platform: log, gate, live engine, lake and history in one process."""
