"""A run of the pipeline: its plan, totals, report, notices and gallery."""
