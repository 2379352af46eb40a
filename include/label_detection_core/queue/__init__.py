"""Messages, what they announce, and those that are in flight."""
