"""Extra links: buttons on a task's page in Airflow."""
