"""The pipeline in plain Python, without Airflow. A package imports only packages that are above it in this list.

`config`     the options, the pipelines, and the model types by ARN
`model`      the lease on a model, the history of its starts, and its costs
`queue`      SQS messages, the events in them, and the messages in flight
`labelling`  the steps for one image: decisions, S3 calls, answers of each model type, documents
`drain`      the consumer of the queue, its pace, and its journal
`run`        the plan, totals, report, notices and gallery of a run
`backfill`   images that S3 never announced

All packages may import `aws_errors`, `redaction` and `stored` (the base classes of stored files).
"""

#: The version of this package, the same as in pyproject.toml. Stored files contain it.
__version__ = "1.1.0"
