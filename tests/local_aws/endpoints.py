"""SageMaker endpoints for tests."""

from typing import Any

from tests.local_aws.conftest import until

DETECTION = "label-detection-object-detection"
CLASSIFICATION = "label-detection-image-classification"
HUGGINGFACE = "label-detection-huggingface"


def endpoint_arn(name: str) -> str:
    return f"arn:aws:sagemaker:us-east-1:123456789012:endpoint/{name.lower()}"


def status_of(sagemaker: Any, name: str) -> str:
    return str(sagemaker.describe_endpoint(EndpointName=name)["EndpointStatus"])


def in_service(sagemaker: Any, name: str, config: str = DETECTION) -> str:
    """Create an endpoint and wait until it is in service; return its name."""
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=config)
    until(lambda: status_of(sagemaker, name) == "InService")
    return name


def make_config(sagemaker: Any, name: str, image: str, instances: int = 1) -> str:
    """Create an endpoint config with a model of its own; return its name."""
    role = "arn:aws:iam::123456789012:role/model"
    sagemaker.create_model(ModelName=name, PrimaryContainer={"Image": image}, ExecutionRoleArn=role)
    variant = {"VariantName": "all", "ModelName": name, "InstanceType": "ml.m5.large"}
    sagemaker.create_endpoint_config(
        EndpointConfigName=name, ProductionVariants=[variant | {"InitialInstanceCount": instances}]
    )
    return name
