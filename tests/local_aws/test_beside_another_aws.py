"""Only the models, beside another AWS with the buckets and the queue."""

from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.local_aws.conftest import Aws, running
from tests.local_aws.pictures import photograph, png


def detect(models: Aws, **place: str) -> Any:
    rekognition = models.client("rekognition")
    return rekognition.detect_custom_labels(ProjectVersionArn=models.model_arn, Image={"S3Object": place})


def test_only_the_models_are_made(tmp_path: Path) -> None:
    with running(tmp_path, "--models-only") as models:
        assert not [name for name in models.env if name.endswith(("_QUEUE_URL", "_BUCKET"))]
        assert models.client("s3").list_buckets()["Buckets"] == []
        assert "QueueUrls" not in models.client("sqs").list_queues()
        assert {model["kind"] for model in models.models()} == {"rekognition", "sagemaker", "lookoutvision"}


def test_pictures_are_read_from_the_s3_that_is_named(aws: Aws, s3: Any, examples: Path, tmp_path: Path) -> None:
    s3.put_object(Bucket=aws.source, Key="a cup+é.png", Body=png(photograph("coffee")))
    options = ("--models-only", "--pictures-endpoint", aws.endpoint, "--examples", str(examples))
    with running(tmp_path, *options) as models:
        models.model(status="RUNNING")
        labels = detect(models, Bucket=aws.source, Name="a cup+é.png")["CustomLabels"]
        assert labels[0]["Name"] == "cup"
        for place in ({"Bucket": aws.source, "Name": "absent.png"}, {"Bucket": "no-such-bucket", "Name": "a.png"}):
            with pytest.raises(ClientError, match="Unable to get object metadata from S3") as refused:
                detect(models, **place)
            assert refused.value.response["Error"]["Code"] == "InvalidS3ObjectException"
