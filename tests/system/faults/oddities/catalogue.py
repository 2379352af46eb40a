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
_CONDITIONS = f"AWS [obeys them]({_S3}/userguide/conditional-requests.html); some other S3s do not"
_UNREADABLE = "*unreadable* after `max_receives` deliveries: the object stays where it is, its message is kept"
_TWO_POLLS = "a task ends after two empty long polls, whatever the counts are"
_ETAGS = "the pipeline checks the eTag itself, and warns once"
_ASYNCHRONOUS = "service model: a start is asynchronous"
_NO_LIMIT = "no AWS page names a limit"


@dataclass(frozen=True)
class Entry:
    """The three cells of a row that are not measured, in Markdown."""

    fault: str
    documented: str
    pipeline: str


class Oddity(Enum):
    """The rows, in the order of the docs."""

    COUNTS_OLD = Entry("queue counts are 1 to 5 s old", _COUNTS, _TWO_POLLS)
    COUNTS_VERY_OLD = Entry("queue counts are 60 s old", _COUNTS, _TWO_POLLS)
    STOP_WITH_OLD_COUNTS = Entry(
        "queue counts are 1 to 5 s old: a whole run", _COUNTS, "the teardown follows the last task"
    )
    SHORT_POLLS = Entry(
        "a short poll sees none of the messages",
        f"[Short and long polling]({_SQS}/SQSDeveloperGuide/sqs-short-and-long-polling.html)",
        "every receive is a long poll, which asks all servers",
    )
    DUPLICATES = Entry(
        "every message is delivered twice",
        f"[At-least-once delivery]({_SQS}/SQSDeveloperGuide/standard-queues-at-least-once-delivery.html)",
        "final keys are computed from the event; a message that is already in work is not taken a second time",
    )
    DELAYED = Entry(
        "the queue delays its messages by 10 minutes",
        f"[Delay queues]({_SQS}/SQSDeveloperGuide/sqs-delay-queues.html)",
        "a delayed message does not start the model",
    )
    GONE = Entry(
        "one message has 300 records of deleted objects",
        f"[S3's event notifications]({_S3}/userguide/EventNotifications.html): at least once, in no order",
        "several objects are checked in parallel, before the model is called",
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
        _ETAGS,
    )
    CONDITIONS_IGNORED = Entry("an S3 that ignores the conditions of a request", _CONDITIONS, _ETAGS)
    STORAGE_CLASS = Entry(
        "CopyObject gives a copy the storage class STANDARD",
        f"[CopyObject]({_S3}/API/API_CopyObject.html): `x-amz-storage-class`",
        "the copy keeps the storage class of the original, or gets that of `final_storage_class`",
    )
    EXPRESS = Entry(
        "a directory bucket of S3 Express",
        f"[Directory buckets]({_S3}/userguide/directory-buckets-overview.html)",
        "`plan_run` fails with an error of one line",
    )
    OTHER_REGION = Entry(
        "the source bucket is in another Region than the model",
        f"[S3Object]({_REKOGNITION}/API_S3Object.html): the Regions must match",
        "`plan_run` compares the Regions before the model is started",
    )
    UNREADABLE_BUCKET = Entry(
        "Rekognition may not read the bucket, though the role may",
        f"{_DETECT}: `InvalidS3ObjectException`",
        "rejects no image for it; after 20 images the task fails and names the policy, the key and the Region",
    )
    WRONG_REQUEST = Entry(
        "every request is refused as invalid",
        f"{_DETECT}: `InvalidParameterException`",
        "after 20 images of which none was labelled, the task fails; no image is rejected",
    )
    WRONG_BUCKET = Entry(
        "`source_bucket` is not the bucket that the messages name",
        f"[Event message structure]({_S3}/userguide/notification-content-structure.html): the bucket's own name, "
        "not an access point's alias",
        "after 20 messages the task fails and names both buckets; all messages return to the queue",
    )
    ONE_FAILS = Entry(
        "one image for which the model fails every time, beside 10 others",
        f"{_DETECT}: `InternalServerError`",
        "the image keeps the model on for at most about a minute, then waits for the next run",
    )
    OBJECT_FAILS = Entry(
        "one object for which S3 fails every time, beside 10 others",
        f"{_ERRORS}: `InternalError`, 500",
        "each call is sent at most six times, over half a minute; then the message returns to the queue",
    )
    THROTTLED_WITH_500 = Entry(
        "throttling that comes with HTTP 500",
        "service model of Rekognition: `ThrottlingException` has `fault: true`",
        "it is recognised by its code, whatever the status; the task calls more slowly",
    )
    OUTAGE = Entry(
        "the model's service fails for every image, for minutes",
        f"{_DETECT}: `InternalServerError`",
        "the task fails before the deliveries are used up; after each delivery a message waits longer",
    )
    READY_LAG = Entry(
        "a model that is RUNNING is not ready for 10 s",
        f"{_DETECT}: `ResourceNotReadyException`; {_NO_LIMIT}",
        "sends again for at most two minutes, while Describe returns RUNNING",
    )
    DESCRIBE_LAG = Entry(
        "Describe lags 5 s behind a start; the stop comes right after the start request",
        f"{_ASYNCHRONOUS}; {_NO_LIMIT}",
        "a stop that finds the model off keeps checking until a minute after the start request",
    )
    LAGS_IN_A_RUN = Entry(
        "Describe lags 8 s behind start and stop, and the model is not ready for 8 s: a whole run",
        f"{_ASYNCHRONOUS}; {_NO_LIMIT}",
        "a state that may be older than a request is checked again",
    )
    QUOTA = Entry(
        "StartProjectVersion over its quota",
        f"[StartProjectVersion]({_REKOGNITION}/API_StartProjectVersion.html): `LimitExceededException`",
        "sends the request once; the error names the quota",
    )
    OWN_THRESHOLDS = Entry(
        "a `MinConfidence` in the request replaces the model's own thresholds",
        f"[Analyzing an image]({_LABELS}/detecting-custom-labels.html)",
        "`min_confidence = model`: it is not sent",
    )
    ONE_LARGE = Entry(
        "a picture of 8 MB for a SageMaker endpoint",
        "[Hosting FAQ](https://docs.aws.amazon.com/sagemaker/latest/dg/hosting-faqs.html): 25 MB; the service model "
        "and older pages: 6 MB",
        "sends up to 25 MB; what the container refuses (413) is rejected with its reason",
    )
    ANOMALY_AGAIN = Entry(
        "a picture for Lookout for Vision is delivered again after its document was written",
        f"[At-least-once delivery]({_SQS}/SQSDeveloperGuide/standard-queues-at-least-once-delivery.html)",
        "the second delivery reads labels and anomaly from the document",
    )
    RESERVED_FOLDER = Entry(
        "a source key begins with `runs/`, a folder of the pipeline that a life-cycle rule may empty",
        f"[Life-cycle rules]({_S3}/userguide/intro-lifecycle-filters.html) match by prefix",
        "the picture is written under `_/`, which no such rule matches",
    )
    PROXY = Entry(
        "AWS is reached only through the proxy that the Airflow connection names",
        "[Airflow's connection](https://airflow.apache.org/docs/apache-airflow-providers-amazon/stable/connections/"
        "aws.html): `config_kwargs`",
        "every client uses the connection's `config_kwargs`",
    )
