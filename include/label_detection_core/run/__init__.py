"""One run of the pipeline: plan, totals, report, notices and gallery."""
