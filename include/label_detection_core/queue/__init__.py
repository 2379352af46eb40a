"""SQS messages, the events in them, and the messages in flight."""
