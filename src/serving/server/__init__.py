"""The running API: what stands between a socket and the operations."""
