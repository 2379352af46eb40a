"""The errors of InvokeEndpoint, with the names of the service model."""

from moto.core.exceptions import ServiceException


class Validation(ServiceException):
    """No endpoint with this name is in service."""

    code = "ValidationError"


class Model(ServiceException):
    """The container answered with an error: its HTTP status and its message."""

    code = "ModelError"

    def __init__(self, status: int, message: str):
        whose = "client" if status < 500 else "server"
        super().__init__(f'Received {whose} error ({status}) from primary with message "{message}".')
        self.OriginalStatusCode = status  # moto writes these attributes into the answer
        self.OriginalMessage = message
