"""What the pipeline does, in plain Python: no Airflow in here."""
