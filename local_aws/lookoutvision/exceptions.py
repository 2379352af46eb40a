"""Lookout for Vision's errors, with the names of its service model."""


class LookoutVisionError(Exception):
    """An error answer with its HTTP status, code and message."""

    status = 500
    code = "InternalServerException"


class ValidationError(LookoutVisionError):
    """A parameter or the image is invalid."""

    status = 400
    code = "ValidationException"


class NotFoundError(LookoutVisionError):
    """The project or the model does not exist."""

    status = 404
    code = "ResourceNotFoundException"


class ConflictError(LookoutVisionError):
    """The model's present state does not allow the operation."""

    status = 409
    code = "ConflictException"


class ThrottlingError(LookoutVisionError):
    """More images per second than the inference units allow."""

    status = 429
    code = "ThrottlingException"
