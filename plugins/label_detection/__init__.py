"""Label detection for Airflow: operators, sensors, hooks, DAGs. The parts without Airflow: `label_detection_core`."""
