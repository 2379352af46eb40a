"""Label detection for Airflow: what speaks Airflow. What the pipeline does is in `label_detection_core`."""
