"""The errors SageMaker answers with: all that is wrong with an endpoint is a ValidationException."""

from moto.core.exceptions import ServiceException


class Validation(ServiceException):
    """The name is taken or names nothing, or the endpoint is in a state in which this cannot be done."""

    code = "ValidationException"
