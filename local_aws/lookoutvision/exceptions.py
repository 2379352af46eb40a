"""The errors Lookout for Vision answers with, as its service model names them."""


class LookoutVisionError(Exception):
    """An error's HTTP status, code and message."""

    status = 500
    code = "InternalServerException"


class ValidationError(LookoutVisionError):
    """A parameter or the image is not what it must be."""

    status = 400
    code = "ValidationException"


class NotFoundError(LookoutVisionError):
    """There is no such project or model."""

    status = 404
    code = "ResourceNotFoundException"


class ConflictError(LookoutVisionError):
    """The model is in a state in which this cannot be done."""

    status = 409
    code = "ConflictException"


class ThrottlingError(LookoutVisionError):
    """More images a second than the inference units are worth."""

    status = 429
    code = "ThrottlingException"
