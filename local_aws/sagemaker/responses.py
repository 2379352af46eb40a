"""moto's SageMaker responses, with the backend of this package."""

from moto.sagemaker.responses import SageMakerResponse


class LocalSageMakerResponse(SageMakerResponse):
    """moto's methods, unchanged. moto's dispatch needs a class in the package of the URL paths."""
