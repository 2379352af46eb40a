"""SageMaker's errors: each error about an endpoint is a ValidationException."""

from moto.core.exceptions import ServiceException


class Validation(ServiceException):
    """The name is already used or unknown, or the endpoint's present state does not allow the operation."""

    code = "ValidationException"
