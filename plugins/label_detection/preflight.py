"""What a run will need, checked by `plan_run` before a model is started and paid for."""

from __future__ import annotations

import logging
import re
from importlib import import_module
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from airflow.sdk.exceptions import AirflowFailException
from botocore.exceptions import ClientError

from label_detection.hooks.clients import s3_client
from label_detection.hooks.model import hook_class
from label_detection_core import aws_errors
from label_detection_core.config.settings import OptionPlace, Settings
from label_detection_core.labelling.conditions import Conditions, probe
from label_detection_core.labelling.keys import REJECTED

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

log = logging.getLogger(__name__)

#: The packages of modules that are not named like them, as requirements.txt has them.
_PACKAGES = {"PIL": "pillow", "aiobotocore": "apache-airflow-providers-amazon[aiobotocore]"}
#: AWS: the hosts of SQS. sqs.<region>.amazonaws.com, its FIPS, dual-stack and VPC forms; the older <region>.queue.…
_REGION = r"(?P<region>[a-z]{2,}(?:-[a-z]+)+-\d+)"
_QUEUE_HOSTS = (re.compile(rf"(?:.+\.)?sqs(?:-fips)?\.{_REGION}\..+"), re.compile(rf"{_REGION}\.queue\..+"))


def check_modules(settings: Settings) -> None:
    """Import what the tasks and the triggerer need later, once the model is on.

    :raises AirflowFailException: when one cannot be imported.
    """
    for module in ("aiobotocore", settings.model.type.hook.rpartition(".")[0]):
        try:
            import_module(module)
        except ImportError as error:
            missing = (error.name or module).partition(".")[0]
            raise AirflowFailException(
                f"the Python module {missing} cannot be imported on this worker ({error}): install the package "
                f"{_PACKAGES.get(missing, missing)} by requirements.txt, on workers and triggerer; on Amazon MWAA the "
                "log of the requirements installation says why pip failed"
            ) from error


def check_queue(settings: Settings, place: OptionPlace) -> None:
    """Check by its URL that the queue is in the model's Region: SQS's client sends its calls to that Region.

    :raises AirflowFailException: when it is in another one.
    """
    host = urlsplit(settings.queue_url).hostname or ""
    match = next((found for pattern in _QUEUE_HOSTS if (found := pattern.fullmatch(host))), None)
    if match and match["region"] != settings.region:
        raise AirflowFailException(
            f"{place.name('queue_url')}: the queue {settings.queue_url} is in {match['region']}, the model in "
            f"{settings.region}: {place.where('queue_url')} must be a queue in the model's Region"
        )


def check_buckets(settings: Settings, place: OptionPlace) -> list[str]:
    """Check that both buckets are there, of a supported type, and in the model's Region.

    :return: warnings.
    :raises AirflowFailException: when the run could not work with one of them.
    """
    s3 = s3_client(settings)
    found = (_check_bucket(s3, settings, option, place) for option in ("source_bucket", "final_bucket"))
    return [warning for warning in found if warning]


def probe_conditions(settings: Settings, run_id: str, place: OptionPlace) -> tuple[Conditions, list[str]]:
    """Try which conditional requests the final bucket's S3 obeys.

    :return: the result, and warnings about guarantees that are weaker than on AWS.
    :raises AirflowFailException: when the final bucket may not be written.
    """
    key = f"{REJECTED}conditions-probe/{run_id}"  # the one folder in which the policy lets the tasks delete
    try:
        conditions = probe(s3_client(settings), settings.final_bucket, key)
    except ClientError as error:
        if aws_errors.is_transient(error):
            raise
        if error.operation_name == "PutObject":
            raise AirflowFailException(
                f"{place.name('final_bucket')}: the bucket {settings.final_bucket!r} may not be written ({error}): "
                f"allow s3:PutObject, or set {place.where('final_bucket')}"
            ) from error
        log.warning("whether the final bucket's S3 obeys conditional requests is not known: %s", error)
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
            f"{bucket} does not exist or may not be listed ({error}); set {place.where(option)}, or allow s3:ListBucket"
        ) from error
    if _is_paid_by_requester(s3, name):
        raise AirflowFailException(
            f"{bucket} is a Requester Pays bucket, which is not supported: {_other(place, option)}"
        )
    return _check_region(settings, bucket, answer.get("BucketRegion"))


def _check_region(settings: Settings, bucket: str, region: str | None) -> str | None:
    """A warning where the model is sent the images; a model that reads them itself cannot."""
    if region in {None, "", settings.region}:  # not every S3 but AWS's has Regions
        return None
    where = f"{bucket} is in {region}, the model in {settings.region}"
    if hasattr(hook_class(settings.model), "max_bytes"):  # of hooks that send images; else the service reads them
        return f"{where}: each image is sent from Region to Region, which is slower and which AWS charges for"
    raise AirflowFailException(f"{where}, which reads images in its own Region alone: both must be in one Region")


def _is_paid_by_requester(s3: S3Client, name: str) -> bool:
    try:
        return s3.get_bucket_request_payment(Bucket=name).get("Payer") == "Requester"
    except aws_errors.AWS_ERRORS as error:  # only its owner may ask, and other S3s do not know it
        log.info("whether %s is a Requester Pays bucket is not known: %s", name, error)
        return False


def _other(place: OptionPlace, option: str) -> str:
    return f"set {place.where(option)} to a general purpose bucket whose owner pays"
