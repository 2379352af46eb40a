"""The waits, without a worker."""
