"""What HTTP is made of: bodies, headers, problems, connections."""
