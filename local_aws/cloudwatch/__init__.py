"""moto's CloudWatch with the age of each queue's oldest message, as SQS sends it there."""
