"""
The obvious design: one mapped task for each image. Only `make bench` uses this DAG, for comparison.

Each task creates its clients as the pipeline does, and handles its image as the pipeline does, but without the
pipeline's guarantees.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from airflow.sdk import dag, task

from label_detection.configuration import read_option


def _client(service: str) -> Any:
    from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook

    return AwsBaseHook(aws_conn_id="aws_default", client_type=service).conn


@dag(schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC), catchup=False, is_paused_upon_creation=False)
def one_task_per_image() -> None:
    """List the messages, then run one task for each image."""

    @task
    def list_images() -> list[dict[str, str]]:
        sqs, found = _client("sqs"), []
        queue_url = read_option("queue_url")
        while messages := sqs.receive_message(
            QueueUrl=queue_url, MaxNumberOfMessages=10, VisibilityTimeout=3600, WaitTimeSeconds=1
        ).get("Messages"):
            for message in messages:
                records = json.loads(message["Body"]).get("Records", [])
                handle = message["ReceiptHandle"]
                found += [{"key": record["s3"]["object"]["key"], "handle": handle} for record in records]
        return found

    @task(task_id="analyse_images")
    def analyse_image(image: dict[str, str]) -> None:
        from urllib.parse import unquote_plus

        s3, key = _client("s3"), unquote_plus(image["key"])
        source, final = read_option("source_bucket"), read_option("final_bucket")
        answer = _client("rekognition").detect_custom_labels(
            ProjectVersionArn=read_option("model_arn"),
            Image={"S3Object": {"Bucket": source, "Name": key}},
            MinConfidence=70,
        )
        s3.copy_object(Bucket=final, Key=key, CopySource={"Bucket": source, "Key": key})
        s3.put_object(Bucket=final, Key=f"{key}.json", Body=json.dumps(answer["CustomLabels"]).encode())
        s3.delete_object(Bucket=source, Key=key)
        _client("sqs").delete_message(QueueUrl=read_option("queue_url"), ReceiptHandle=image["handle"])

    analyse_image.expand(image=list_images())


one_task_per_image()
