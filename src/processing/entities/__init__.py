"""What is known of an order, a user or a product, and their sessions: folded from events."""
