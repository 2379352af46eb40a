"""Rekognition Custom Labels' errors, with the names of its service model."""

from moto.core.exceptions import ServiceException


class ResourceNotFound(ServiceException):
    """No resource has the ARN."""

    code = "ResourceNotFoundException"
    message = "The resource specified in the request cannot be found."


class ResourceInUse(ServiceException):
    """The model's present state does not allow a start or a stop."""

    code = "ResourceInUseException"


class ResourceNotReady(ServiceException):
    """The model is not running."""

    code = "ResourceNotReadyException"


class InvalidParameter(ServiceException):
    """A parameter, or the image's size in pixels, is outside the limits."""

    code = "InvalidParameterException"


class InvalidS3Object(ServiceException):
    """The bucket, the key or the version does not exist or cannot be read, or the bucket is in another Region."""

    code = "InvalidS3ObjectException"
    message = "Unable to get object metadata from S3. Check object key, region and/or access permissions."


class InvalidImageFormat(ServiceException):
    """The image is neither PNG nor JPEG, or it cannot be decoded."""

    code = "InvalidImageFormatException"
    message = "Request has invalid image format"


class ImageTooLarge(ServiceException):
    """The image has more bytes than the service accepts."""

    code = "ImageTooLargeException"


class ProvisionedThroughputExceeded(ServiceException):
    """More images per second than the running inference units allow."""

    code = "ProvisionedThroughputExceededException"
    message = "Provisioned rate exceeded."
