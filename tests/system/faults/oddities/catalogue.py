"""The oddities: documented behaviour of AWS, with its source and the pipeline's reaction, as rows of the docs."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

_SQS = "https://docs.aws.amazon.com/AWSSimpleQueueService/latest"
_S3 = "https://docs.aws.amazon.com/AmazonS3/latest"
_REKOGNITION = "https://docs.aws.amazon.com/rekognition/latest/APIReference"
_LABELS = "https://docs.aws.amazon.com/rekognition/latest/customlabels-dg"

_COUNTS = f"[GetQueueAttributes]({_SQS}/APIReference/API_GetQueueAttributes.html): counts may need a minute"
_ERRORS = f"[S3's error codes]({_S3}/API/ErrorResponses.html)"
_DETECT = f"[DetectCustomLabels]({_REKOGNITION}/API_DetectCustomLabels.html)"
_CONDITIONS = f"AWS [obeys them]({_S3}/userguide/conditional-requests.html); other S3s do not all"
_UNREADABLE = "*unreadable* after `max_receives` deliveries: it stays in place, its message is kept"
_NO_LIMIT = "no AWS page names a limit"


@dataclass(frozen=True)
class Entry:
    """The three cells of a row that are not measured, in Markdown."""

    fault: str
    documented: str
    pipeline: str


class Oddity(Enum):
    """The rows, in the order of the docs."""

    COUNTS_OLD = Entry(
        "queue counts are 1 to 5 s old", _COUNTS, "two empty long polls end a task, whatever the counts say"
    )
    COUNTS_VERY_OLD = Entry("queue counts are 60 s old", _COUNTS, "the same")
    STOP_WITH_OLD_COUNTS = Entry(
        "the stop request of a whole run, counts 1 to 5 s old", _COUNTS, "the teardown follows the last task"
    )
    SHORT_POLLS = Entry(
        "a short poll sees none of the messages",
        f"[Short and long polling]({_SQS}/SQSDeveloperGuide/sqs-short-and-long-polling.html)",
        "every receive is a long poll, which asks all servers",
    )
    DUPLICATES = Entry(
        "every message is delivered twice",
        f"[At-least-once delivery]({_SQS}/SQSDeveloperGuide/standard-queues-at-least-once-delivery.html)",
        "final keys follow from the event; a delivery that is in hand already is not worked on again",
    )
    DELAYED = Entry(
        "the queue delays its messages by 10 minutes",
        f"[Delay queues]({_SQS}/SQSDeveloperGuide/sqs-delay-queues.html)",
        "a delayed message starts nothing",
    )
    GONE = Entry(
        "one message with 300 records of objects that are gone",
        f"[S3's event notifications]({_S3}/userguide/EventNotifications.html): at least once, in no order",
        "looked at several at a time, before the model is asked",
    )
    DENIED = Entry(
        "an object that a policy or its owner denies, beside 10 others",
        f"{_ERRORS}: 403 to HEAD, GET and copy",
        _UNREADABLE,
    )
    SSE_C = Entry(
        "an object encrypted with its uploader's own key (SSE-C), beside 10 others",
        f"[HeadObject]({_S3}/API/API_HeadObject.html): 400 without the key",
        _UNREADABLE,
    )
    ARCHIVED = Entry(
        "an archived object, beside 10 others",
        f"[CopyObject]({_S3}/API/API_CopyObject.html): `ObjectNotInActiveTierError`, 403",
        _UNREADABLE,
    )
    KMS_DISABLED = Entry(
        "an object whose KMS key is disabled, beside 10 others", f"{_ERRORS}: `KMS.DisabledException`", _UNREADABLE
    )
    KMS_DENIED = Entry(
        "an object whose KMS key the role may not use, beside 10 others",
        f"[SSE-KMS]({_S3}/userguide/UsingKMSEncryption.html): 403 without `kms:Decrypt`",
        _UNREADABLE,
    )
    REFUSED_IN_A_RUN = Entry(
        "an object that a policy denies, beside 40 others: a whole run", f"{_ERRORS}: 403", "the run is green"
    )
    CONDITIONS_REFUSED = Entry(
        "an S3 that answers 501 to conditional requests",
        _CONDITIONS,
        "looks at the eTag before and after instead, and warns once",
    )
    CONDITIONS_IGNORED = Entry("an S3 that ignores the conditions of a request", _CONDITIONS, "the same")
    STORAGE_CLASS = Entry(
        "CopyObject gives a copy the storage class STANDARD",
        f"[CopyObject]({_S3}/API/API_CopyObject.html): `x-amz-storage-class`",
        "the copy keeps the storage class of the original, or gets that of `final_storage_class`",
    )
    EXPRESS = Entry(
        "a directory bucket of S3 Express",
        f"[Directory buckets]({_S3}/userguide/directory-buckets-overview.html)",
        "`plan_run` refuses it in one line",
    )
    OTHER_REGION = Entry(
        "the source bucket is in another Region than the model",
        f"[S3Object]({_REKOGNITION}/API_S3Object.html): the Regions must match",
        "`plan_run` compares the Regions before anything is started",
    )
    UNREADABLE_BUCKET = Entry(
        "Rekognition may not read the bucket, though the role may",
        f"{_DETECT}: `InvalidS3ObjectException`",
        "never rejects for it; after 20 images the task fails and names policy, key and Region",
    )
    WRONG_REQUEST = Entry(
        "every request is refused as wrong",
        f"{_DETECT}: `InvalidParameterException`",
        "after 20 images without one that was labelled the task fails and rejects none",
    )
    WRONG_BUCKET = Entry(
        "`source_bucket` is not the bucket that the messages name",
        f"[Event message structure]({_S3}/userguide/notification-content-structure.html): the bucket's own name, "
        "not an access point's alias",
        "after 20 messages the task fails and names both buckets; all messages are back on the queue",
    )
    ONE_FAILS = Entry(
        "one image for which the model fails every time, beside 10 others",
        f"{_DETECT}: `InternalServerError`",
        "it keeps the model on for about a minute at most, then waits for the next run",
    )
    OBJECT_FAILS = Entry(
        "one object for which S3 fails every time, beside 10 others",
        f"{_ERRORS}: `InternalError`, 500",
        "each of its calls is sent six times at most, over half a minute; then its message waits for its turn again",
    )
    THROTTLED_WITH_500 = Entry(
        "throttling that comes with HTTP 500",
        "service model of Rekognition: `ThrottlingException` has `fault: true`",
        "known by its code, whatever the status: the pace steps back",
    )
    OUTAGE = Entry(
        "the model's service fails for every image, for minutes",
        f"{_DETECT}: `InternalServerError`",
        "the task ends before deliveries are used up; messages come back later and later",
    )
    READY_LAG = Entry(
        "a model that is RUNNING is not ready for 10 s",
        f"{_DETECT}: `ResourceNotReadyException`; {_NO_LIMIT}",
        "sent again, for two minutes at most, as long as Describe says RUNNING",
    )
    DESCRIBE_LAG = Entry(
        "Describe lags 5 s behind a start: stopped right after the start request",
        f"service model: a start is asynchronous; {_NO_LIMIT}",
        "a stop that finds the model off looks on until a minute after the start request",
    )
    LAGS_IN_A_RUN = Entry(
        "Describe lags 8 s behind start and stop, the model is not ready for 8 s: a whole run",
        f"the same; {_NO_LIMIT}",
        "states that may be from before a request are not believed",
    )
    QUOTA = Entry(
        "StartProjectVersion over its quota",
        f"[StartProjectVersion]({_REKOGNITION}/API_StartProjectVersion.html): `LimitExceededException`",
        "sent once; the error names the quota",
    )
    OWN_THRESHOLDS = Entry(
        "a `MinConfidence` that is sent replaces the model's own thresholds",
        f"[Analyzing an image]({_LABELS}/detecting-custom-labels.html)",
        "`min_confidence = model`: it is not sent",
    )
    ONE_LARGE = Entry(
        "a picture of 8 MB for a SageMaker endpoint",
        "[Hosting FAQ](https://docs.aws.amazon.com/sagemaker/latest/dg/hosting-faqs.html): 25 MB; the service model "
        "and older pages: 6 MB",
        "sent up to 25 MB; a container's own limit (413) rejects with its reason",
    )
    ANOMALY_AGAIN = Entry(
        "a picture of Lookout for Vision that is delivered again after its document was written",
        f"[At-least-once delivery]({_SQS}/SQSDeveloperGuide/standard-queues-at-least-once-delivery.html)",
        "the second delivery takes labels and anomaly from the document",
    )
    RESERVED_FOLDER = Entry(
        "a source key that begins with a folder of ours, `runs/`, which a life-cycle rule empties",
        f"[Life-cycle rules]({_S3}/userguide/intro-lifecycle-filters.html) match by prefix",
        "the picture goes under `_/`, which no rule matches",
    )
    PROXY = Entry(
        "AWS is only reached through the proxy that the Airflow connection names",
        "[Airflow's connection](https://airflow.apache.org/docs/apache-airflow-providers-amazon/stable/connections/"
        "aws.html): `config_kwargs`",
        "every client merges them",
    )
