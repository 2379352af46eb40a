"""The errors Rekognition Custom Labels answers with, as its service model names them."""

from moto.core.exceptions import ServiceException


class ResourceNotFound(ServiceException):
    """The ARN names nothing."""

    code = "ResourceNotFoundException"
    message = "The resource specified in the request cannot be found."


class ResourceInUse(ServiceException):
    """The model is in a state from which it cannot be started or stopped."""

    code = "ResourceInUseException"


class ResourceNotReady(ServiceException):
    """The model is not running."""

    code = "ResourceNotReadyException"


class InvalidParameter(ServiceException):
    """A parameter, or the image's size in pixels, is out of bounds."""

    code = "InvalidParameterException"


class InvalidS3Object(ServiceException):
    """The bucket, the key or the version is not there, or the bucket is in another Region."""

    code = "InvalidS3ObjectException"
    message = "Unable to get object metadata from S3. Check object key, region and/or access permissions."


class InvalidImageFormat(ServiceException):
    """Neither PNG nor JPEG, or not readable as what it claims to be."""

    code = "InvalidImageFormatException"
    message = "Request has invalid image format"


class ImageTooLarge(ServiceException):
    """More bytes than the service takes."""

    code = "ImageTooLargeException"


class ProvisionedThroughputExceeded(ServiceException):
    """More images a second than the running inference units are worth."""

    code = "ProvisionedThroughputExceededException"
    message = "Provisioned rate exceeded."
