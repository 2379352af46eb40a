"""Where things are: the options of the queue, the buckets, the model and the connection to AWS."""

from __future__ import annotations

from pydantic import Field

from label_detection_core.config.model_types import NamesModel
from label_detection_core.config.option_types import Bucket, ConnectionId, ModelArn, QueueUrl, ReadableClass


class PlaceOptions(NamesModel):
    """Options that say where things are: the queue, the buckets, the model and the connection to AWS."""

    queue_url: QueueUrl = Field(description="The URL of the SQS queue that receives the events of the source bucket")
    source_bucket: Bucket = Field(
        description="The bucket for uploads; a picture is deleted there after it was labelled"
    )
    final_bucket: Bucket = Field(
        description="The bucket for labelled pictures, label documents and reports; not the source bucket"
    )
    model_arn: ModelArn = Field(
        description="The ARN of the model: a Rekognition Custom Labels project version, a SageMaker endpoint "
        "configuration, or a Lookout for Vision model"
    )
    final_storage_class: ReadableClass = Field(
        None,
        description="The storage class of pictures in the final bucket. It must be readable without a restore, such as "
        "`STANDARD_IA`. Empty: each copy keeps the class of its original",
    )
    aws_conn_id: ConnectionId = Field(
        "aws_default",
        description="The id of the Airflow connection to AWS; its credentials and its `config_kwargs` are used",
    )
