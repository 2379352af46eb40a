"""Checks, before a model is started and costs money, that everything a run needs is there."""

from __future__ import annotations

import logging
import re
from importlib import import_module
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from airflow.sdk.exceptions import AirflowFailException
from botocore.exceptions import ClientError

from label_detection import channels
from label_detection.hooks.clients import s3_client
from label_detection.hooks.model import hook_class
from label_detection_core import aws_errors
from label_detection_core.config.settings import OptionPlace, Settings
from label_detection_core.labelling.conditions import Conditions, probe
from label_detection_core.labelling.keys import REJECTED

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

log = logging.getLogger(__name__)

#: Module name to package name in requirements.txt, where the two differ.
_PACKAGES = {"PIL": "pillow", "aiobotocore": "apache-airflow-providers-amazon[aiobotocore]"}
#: AWS's host names of SQS: sqs.<region>.amazonaws.com with its FIPS, dual-stack and VPC forms, and the older
#: <region>.queue.…
_REGION = r"(?P<region>[a-z]{2,}(?:-[a-z]+)+-\d+)"
_QUEUE_HOSTS = (re.compile(rf"(?:.+\.)?sqs(?:-fips)?\.{_REGION}\..+"), re.compile(rf"{_REGION}\.queue\..+"))


def check_modules(settings: Settings) -> None:
    """Import the modules that the tasks and the triggerer need later, while the model is on.

    :raises AirflowFailException: when a module cannot be imported, or the notifier of a channel that is set.
    """
    for module in ("aiobotocore", settings.model.type.hook.rpartition(".")[0]):
        try:
            import_module(module)
        except ImportError as error:
            missing = (error.name or module).partition(".")[0]
            raise AirflowFailException(
                f"the Python module {missing} cannot be imported on this worker ({error}): install the package "
                f"{_PACKAGES.get(missing, missing)} from requirements.txt on the workers and the triggerer; on Amazon "
                "MWAA, look for pip's error in the log of the requirements installation"
            ) from error
    if missing_notifiers := channels.missing_packages(settings.model_dump()):
        raise AirflowFailException("\n".join(missing_notifiers))


def check_queue(settings: Settings, place: OptionPlace) -> None:
    """Check that the queue's URL names the model's Region, to which the SQS client sends its calls.

    :raises AirflowFailException: when the URL names another Region.
    """
    host = urlsplit(settings.queue_url).hostname or ""
    match = next((found for pattern in _QUEUE_HOSTS if (found := pattern.fullmatch(host))), None)
    if match and match["region"] != settings.region:
        raise AirflowFailException(
            f"{place.name('queue_url')}: the queue {settings.queue_url} is in {match['region']}, the model in "
            f"{settings.region}: set {place.where('queue_url')} to a queue in the model's Region"
        )


def check_buckets(settings: Settings, place: OptionPlace) -> list[str]:
    """Check that both buckets exist, have a supported type, and are in the model's Region.

    :return: warnings about buckets that work, but not well.
    :raises AirflowFailException: when the run cannot work with one of them.
    """
    s3 = s3_client(settings)
    found = (_check_bucket(s3, settings, option, place) for option in ("source_bucket", "final_bucket"))
    return [warning for warning in found if warning]


def probe_conditions(settings: Settings, run_id: str, place: OptionPlace) -> tuple[Conditions, list[str]]:
    """Test which conditional requests the S3 service of the final bucket supports.

    :return: the result, and warnings about guarantees that are weaker than on AWS.
    :raises AirflowFailException: when writing to the final bucket is denied.
    """
    key = f"{REJECTED}conditions-probe/{run_id}"  # the only folder in which the IAM policy allows deletes
    try:
        conditions = probe(s3_client(settings), settings.final_bucket, key)
    except ClientError as error:
        if aws_errors.is_transient(error):
            raise
        if error.operation_name == "PutObject":
            raise AirflowFailException(
                f"{place.name('final_bucket')}: the bucket {settings.final_bucket!r} cannot be written to ({error}): "
                f"allow s3:PutObject, or set {place.where('final_bucket')} to another bucket"
            ) from error
        log.warning("whether the S3 of %s supports conditional requests is not known: %s", settings.final_bucket, error)
        return Conditions(), []
    return conditions, conditions.warnings()


def _check_bucket(s3: S3Client, settings: Settings, option: str, place: OptionPlace) -> str | None:
    name: str = getattr(settings, option)
    bucket = f"{place.name(option)}: the bucket {name!r}"
    try:
        answer = s3.head_bucket(Bucket=name)
    except ClientError as error:
        if aws_errors.is_transient(error):
            raise
        raise AirflowFailException(
            f"{bucket} does not exist, or there is no permission to list it ({error}): "
            f"set {place.where(option)}, or allow s3:ListBucket"
        ) from error
    if _is_paid_by_requester(s3, name):
        raise AirflowFailException(
            f"{bucket} is a Requester Pays bucket, which is not supported: {_other(place, option)}"
        )
    return _check_region(settings, bucket, answer.get("BucketRegion"))


def _check_region(settings: Settings, bucket: str, region: str | None) -> str | None:
    """A warning when the bucket is in another Region, if the pipeline sends the images to the model.

    :raises AirflowFailException: when the model's service reads the images itself: it reads its own Region only.
    """
    if region in {None, "", settings.region}:  # S3 services other than AWS's may have no Regions
        return None
    where = f"{bucket} is in {region}, the model in {settings.region}"
    if hasattr(hook_class(settings.model), "max_bytes"):  # only hooks that send images have it
        return f"{where}: each image is sent from one Region to the other, which is slower and costs money"
    raise AirflowFailException(
        f"{where}, and it reads images only in its own Region: use a bucket in the model's Region"
    )


def _is_paid_by_requester(s3: S3Client, name: str) -> bool:
    try:
        return s3.get_bucket_request_payment(Bucket=name).get("Payer") == "Requester"
    except (
        aws_errors.AWS_ERRORS
    ) as error:  # only the bucket's owner may ask, and some S3 services do not know this call
        log.info("whether %s is a Requester Pays bucket is not known: %s", name, error)
        return False


def _other(place: OptionPlace, option: str) -> str:
    return f"set {place.where(option)} to a general purpose bucket that is not Requester Pays"
