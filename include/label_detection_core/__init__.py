"""What the pipeline does, in plain Python: no Airflow. A room imports only rooms that stand above it in this list.

`config`     the options, the pipelines, the kinds of models by their ARNs
`model`      who holds a model, how long its starts took, what was spent
`queue`      messages, what is in them, and those in flight
`labelling`  one image on its way: decisions, S3 steps, answers of each kind of model, documents
`drain`      many images: the consumer, its pace, its journal
`run`        plan, totals, report, notices, gallery
`backfill`   images that were never announced

`aws_errors`, `redaction` and `stored` (what stored files have in common) are for all of them.
"""

#: Of this package, as pyproject.toml has it; stored files name it.
__version__ = "1.0.0"
