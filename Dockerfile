# Airflow with the pipeline and its requirements. docker-compose.yaml mounts the checkout over the copies in the image.
FROM apache/airflow:3.3.1-python3.12 AS airflow
COPY --chown=airflow:0 pyproject.toml requirements.txt requirements.lock /opt/label-detection/
# Airflow's version is pinned, so that pip keeps the version of the image. The lock has all other versions.
RUN pip install --no-cache-dir "apache-airflow==${AIRFLOW_VERSION}" \
    --requirement /opt/label-detection/requirements.txt --constraint /opt/label-detection/requirements.lock
COPY --chown=airflow:0 dags /opt/airflow/dags
COPY --chown=airflow:0 plugins /opt/airflow/plugins
COPY --chown=airflow:0 include /opt/airflow/include
ENV PYTHONPATH=/opt/airflow/include

# The embedded AWS, for a trial without an AWS account.
FROM airflow AS local-aws
RUN pip install --no-cache-dir --group /opt/label-detection/pyproject.toml:local-aws \
    --constraint /opt/label-detection/requirements.lock
