"""Measurements of the pipeline: the use of the model's time, and the cost in Airflow, each with a comparison."""
