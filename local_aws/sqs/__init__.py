"""moto's SQS with queues that are thread-safe and do not slow down as they fill."""
