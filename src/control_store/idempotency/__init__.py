"""Idempotency keys: claims and answers."""
