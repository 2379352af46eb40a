"""The errors that invoking an endpoint is answered with, as its service model names them."""

from moto.core.exceptions import ServiceException


class Validation(ServiceException):
    """There is no such endpoint in service."""

    code = "ValidationError"


class Model(ServiceException):
    """The container itself answered with an error: its HTTP status, and what it says."""

    code = "ModelError"

    def __init__(self, status: int, said: str):
        whose = "client" if status < 500 else "server"
        super().__init__(f'Received {whose} error ({status}) from primary with message "{said}".')
        self.OriginalStatusCode = status  # moto writes an error's members by their names
        self.OriginalMessage = said
