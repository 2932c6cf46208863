"""What a platform knows of its own state: how numbers may be read, and why not."""
