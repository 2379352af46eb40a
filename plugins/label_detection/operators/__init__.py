"""The operators: those of the pipeline's DAGs, and those for your own DAGs."""
