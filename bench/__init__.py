"""What becomes of a model's time, and its price in Airflow: measured, each beside something to compare it with."""
