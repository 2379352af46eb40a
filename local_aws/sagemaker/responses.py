"""moto's SageMaker answers; its endpoints live in this package's backend."""

from moto.sagemaker.responses import SageMakerResponse


class LocalSageMakerResponse(SageMakerResponse):
    """One method per operation, all of them moto's: its dispatch looks for the class next to the paths."""
