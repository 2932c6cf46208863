"""The log and the lake after a crash or a loss, and live state from either."""
