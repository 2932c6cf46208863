"""Control state: small, precious, transactional; kept apart from the events."""
