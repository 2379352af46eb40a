"""The options, the pipelines, and the model types by ARN."""
