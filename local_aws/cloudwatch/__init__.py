"""moto's CloudWatch with the metric that SQS sends to it: the age of each queue's oldest message."""
