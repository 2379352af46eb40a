"""moto's SQS with queues that are safe under threads and do not slow down as they fill."""
