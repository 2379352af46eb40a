"""An AWS in one process: S3, SQS and the rest of moto over HTTP, with models that live.

``python -m local_aws --help`` says what can be set. The state is in memory and ends with the process.

What is not moto's own:

* ``rekognition/``: Custom Labels' project versions with states and delays, inference units, a rate limit, the
  service's errors, and a detector (``detector.py``) that finds what the pictures in the examples folder show.
  With ``--pictures-endpoint`` it reads its pictures over HTTP from another S3, such as LocalStack's; with
  ``--models-only`` there is no stack, so the models can stand beside another AWS;
* ``sagemaker/`` and ``sagemaker_runtime/``: real-time endpoints that are created, in service, deleted and gone. Three
  endpoint configs are there: ``label-detection-object-detection``, ``label-detection-image-classification`` and
  ``label-detection-huggingface``. InvokeEndpoint takes PNG and JPEG and answers what the same detector finds, in the
  format of the model's container: AWS's object-detection and image-classification images and those named
  ``huggingface-*``. Endpoints of other images come to be Failed. Classes are numbered by the sorted names of the
  example folders as they are now: a folder that comes or goes moves the numbers;
* ``lookoutvision/``: Amazon Lookout for Vision, which AWS has ended: project ``label-detection``, model ``1``. Normal
  is what the pictures in the examples folder show, and ``anomaly.py`` measures how far an image is from them. Its
  areas are shares, 0-1, and the first of its anomalies is the background, as in AWS;
* ``s3/`` and ``sqs/``: moto's, corrected where it differs from AWS in what a pipeline relies on, and safe
  under many threads. Objects are refused as S3 refuses them: archived ones (StorageClass GLACIER or DEEP_ARCHIVE) until
  they are restored, those of a customer's key (SSE-C) without it, those of a KMS key that is disabled. A request that
  is signed for another Region than the bucket's is answered with 301;
* ``oddities.py``: what AWS may do by its documents, on by default: counts that are old, short polls that see a part
  of the messages, second deliveries, states that lag. ``--oddities quick``: those that
  make nothing slower, ``none``: none;
* ``cloudwatch/``: moto's, with SQS's ApproximateAgeOfOldestMessage of the messages that are there. AWS has the points
  of a queue that slept for six hours only minutes later; here they are there at once;
* ``scheduler/``: EventBridge Scheduler's one-time schedules fire (moto only stores them) if they have a universal
  target; others are stored;
* ``faults.py``: any call of any service can be made to fail, at once or late, always or now and then, or to have
  its connection cut;
* ``policy/``: calls can be denied by an IAM policy. Data under a user's KMS key needs rights on the key;
* ``stacks.py``, ``stack_creation.py``: resources that moto's CloudFormation leaves out; a creation that fails is rolled
  back. The tag ``local-aws:fails-at`` of a stack makes it fail at the resource of that logical id or number.

Control pages: plain JSON over HTTP, no login, for tests and the curious.

``GET /_local/model``
    ``{"kind", "name", "arn", "status", "says", "message", "units", "start_outcome", "history": [{"status", "at"}],
    "detects", "throttled", "first_detect_at", "last_detect_at", "on_seconds", "running_seconds"}``. ``kind`` is
    rekognition, sagemaker or lookoutvision. ``status`` is in Rekognition's words for all of them, ``says`` in the
    service's own: null while SageMaker has no endpoint. ``arn`` of a SageMaker model is its endpoint config's, and its
    units are instances. ``at`` is ISO 8601 in UTC; ``on_seconds`` counts from an accepted start until the model is off
    again; ``running_seconds`` counts RUNNING alone; the first detect began, and the last one ended, since it last came
    to be RUNNING. This is the model that ``--model`` and ``--answers`` choose; ``/_local/model/<name>`` is any.
    A SageMaker model is named as its endpoint config and shows the first endpoint of that config, and the one that is
    created when that is gone; Lookout for Vision's is named lookoutvision; Rekognition's are named as their versions.
``PUT /_local/model``
    ``{"status": one of the states, "message": text}`` puts the model there, and there it stays until it
    is started, stopped or put elsewhere. Rekognition has 14 states; the others have TRAINING_COMPLETED, STARTING,
    RUNNING, FAILED, STOPPING and STOPPED. A SageMaker model that is put to a state with an endpoint and has none gets
    one, named as its last one or as the config. ``{"start_outcome": "FAILED"}`` makes every later start end there
    instead of in RUNNING, until it is put back to ``"RUNNING"``. ``{"rate", "latency"}`` are those of the command
    line, from now on. Any key may be left out.
``GET /_local/models``
    a list of all the models, each as above.
``GET``, ``PUT``, ``DELETE /_local/faults``
    the list of faults, each as described in ``faults.py``; PUT replaces all of them, DELETE ends them.
``GET``, ``PUT``, ``DELETE /_local/policy``
    an IAM policy document that every call needs to be allowed by, whoever makes it; null, and after DELETE: none, all
    is allowed. What is denied is answered with the service's own error. A call of which it is not known what IAM
    asks for is denied too. Control pages never are.
``GET``, ``PUT``, ``DELETE /_local/oddities``
    how odd this AWS is: ``{"seed", "count_age": [least, most], "short_poll_share", "duplicate_share", "conditions":
    "obeyed", "refused" or "ignored", "ready_lag", "describe_lag", "unreadable_buckets": [name], "on": [text]}``, as the
    options of the same names; ``on``: a short text for each that is on. PUT changes the members that it has; a ``seed``
    starts all random choices again. DELETE: back to what it was started with.
``GET``, ``PUT``, ``DELETE /_local/objects``
    objects that S3 refuses, also those not uploaded yet: ``[{"bucket", "key", "trouble"}]``. ``denied``, by a
    policy or their owner: HEAD, GET and copies 403. ``kms-disabled`` and ``kms-denied``: HEAD works, GET and copies are
    answered 400 KMS.DisabledException or 403. PUT replaces all of them, DELETE ends them.
``GET``, ``DELETE /_local/queues``
    the standard queues, exactly and now, whatever GetQueueAttributes says: ``[{"name", "visible", "in_flight",
    "delayed", "second_deliveries"}]``, the last since the queue was made. ``/_local/queues/<name>``: one queue. DELETE
    deletes no message: it makes GetQueueAttributes return exact counts, until they change again.
``GET /_local/schedules``
    what one-time schedules have done: ``[{"arn", "due", "target", "attempts": [{"at", "error": null or text}],
    "delivered": true, false, or null while it may be tried again}]``, the first that fired first.
"""
