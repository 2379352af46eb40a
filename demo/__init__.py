"""The demo: an embedded AWS and Airflow on one machine, pictures with known answers, and a check of the results."""
