"""An AWS in one process: S3, SQS and moto's other services over HTTP, with models that start, run and stop.

``python -m local_aws --help`` lists the options. All state is in memory and is lost when the process ends.

What this package adds to moto:

* ``rekognition/``: Custom Labels' project versions with states and delays, inference units, a rate limit, the
  service's errors, and a detector (``detector.py``) that finds what the pictures in the examples folder show.
  With ``--pictures-endpoint`` it reads its pictures over HTTP from another S3, such as LocalStack's. With
  ``--models-only`` no stack is created, so that the models can serve beside another AWS;
* ``sagemaker/`` and ``sagemaker_runtime/``: real-time endpoints that can be created, invoked and deleted. Three
  endpoint configs exist from the start: ``label-detection-object-detection``, ``label-detection-image-classification``
  and ``label-detection-huggingface``. InvokeEndpoint takes PNG and JPEG. It returns what the detector (``detector.py``)
  finds, in the format of the model's container image: AWS's object-detection and image-classification images and
  images named ``huggingface-*``. An endpoint of any other container image ends as Failed. A class number is the
  position of its example folder among the sorted folder names: adding or removing a folder changes the numbers;
* ``lookoutvision/``: Amazon Lookout for Vision, which AWS has ended: project ``label-detection``, model ``1``. The
  pictures in the examples folder define what is normal, and ``anomaly.py`` measures how far an image differs from
  them. Areas are shares, 0-1, and the first entry of ``Anomalies`` is the background, as in AWS;
* ``s3/`` and ``sqs/``: moto's, corrected where moto differs from AWS in what a pipeline relies on, and safe under many
  threads. S3 refuses a request as AWS does for an archived object (StorageClass GLACIER or DEEP_ARCHIVE) until it is
  restored, for an object with a customer's key (SSE-C) if the request lacks the key, and for an object whose KMS key
  is disabled. A request that is signed for another Region than the bucket's is answered with 301;
* ``oddities.py``: surprising behaviour that AWS's documentation allows, on by default: counts that are old, short
  polls that return only a part of the messages, second deliveries, states that lag. ``--oddities quick`` turns on only
  the oddities that add no delay; ``none`` turns all of them off;
* ``cloudwatch/``: moto's, with the metric ApproximateAgeOfOldestMessage of the messages in each SQS queue. In AWS the
  metrics of a queue without activity for six hours return only after minutes; here they are available immediately;
* ``scheduler/``: a one-time schedule of EventBridge Scheduler fires if its target is a universal target (moto only
  stores schedules); other schedules are only stored;
* ``faults.py``: any call of any service can be made to fail, immediately or late, always or with a probability, or to
  have its connection cut;
* ``policy/``: an IAM policy can deny calls. Data under a customer managed KMS key needs permissions on the key;
* ``stacks.py``, ``stack_creation.py``: resource types that moto's CloudFormation leaves out. A creation that fails is
  rolled back. The stack tag ``local-aws:fails-at`` makes the creation fail at the resource whose logical id or number
  it contains.

Control pages: plain JSON over HTTP, without a login, for tests and exploration.

``GET /_local/model``
    ``{"kind", "name", "arn", "status", "says", "message", "units", "start_outcome", "history": [{"status", "at"}],
    "detects", "throttled", "first_detect_at", "last_detect_at", "on_seconds", "running_seconds"}``. ``kind`` is
    rekognition, sagemaker or lookoutvision. ``status`` is Rekognition's name of the state for every model, and ``says``
    is the name that the model's service uses: null while a SageMaker model has no endpoint. For a SageMaker model,
    ``arn`` is the ARN of its endpoint config and ``units`` is its number of instances. ``at`` is ISO 8601 in UTC.
    ``on_seconds`` counts from an accepted start until the model is off; ``running_seconds`` counts RUNNING alone.
    ``first_detect_at`` is the beginning of the first detect, and ``last_detect_at`` the end of the last one, since the
    model last became RUNNING. This page shows the model that ``--model`` and ``--answers`` choose;
    ``/_local/model/<name>`` shows any model. A SageMaker model has the name of its endpoint config; it shows the first
    endpoint of that config, and after that endpoint's deletion the next one. Lookout for Vision's model is named
    lookoutvision; Rekognition's models are named after their versions.
``PUT /_local/model``
    ``{"status": one of the states, "message": text}`` puts the model into that state. It stays there until a
    request starts it, stops it or puts it into another state. Rekognition has 14 states; the other services have
    TRAINING_COMPLETED, STARTING, RUNNING, FAILED, STOPPING and STOPPED. If the state needs an endpoint and the
    SageMaker model has none, one is created, with the name of its last endpoint or of the config.
    ``{"start_outcome": "FAILED"}`` makes every later start end in FAILED instead of RUNNING, until a PUT sets it back
    to ``"RUNNING"``. ``{"rate", "latency", "start_seconds", "stop_seconds"}`` replace the command-line options with
    these names from now on; a start or a stop that has begun keeps its time. Each key is optional.
``GET /_local/models``
    a list of all models, each as on ``/_local/model``.
``GET``, ``PUT``, ``DELETE /_local/faults``
    the list of faults, each as described in ``faults.py``; PUT replaces all of them, DELETE ends them.
``GET``, ``PUT``, ``DELETE /_local/policy``
    an IAM policy document that applies to every call of every caller. null, also after DELETE: no policy, all calls
    are allowed. A denied call is answered with the service's error for it. A call whose IAM permissions are not known
    here is denied as well. The policy never applies to control pages.
``GET``, ``PUT``, ``DELETE /_local/oddities``
    which oddities are on: ``{"seed", "count_age": [least, most], "short_poll_share", "duplicate_share", "conditions":
    "obeyed", "refused" or "ignored", "ready_lag", "describe_lag", "unreadable_buckets": [name], "on": [text]}``. The
    members have the meaning of the command-line options with these names; ``on`` has a short text for each oddity that
    is on. PUT changes the members in its body; a ``seed`` restarts all random choices. DELETE restores the values that
    the process was started with.
``GET``, ``PUT``, ``DELETE /_local/objects``
    objects that S3 refuses to serve, even if they are not uploaded yet: ``[{"bucket", "key", "trouble"}]``. Troubles:
    ``denied`` (by a policy or by the object's owner) answers HEAD, GET and copies with 403. ``kms-disabled`` and
    ``kms-denied`` allow HEAD, and answer GET and copies with 400 KMS.DisabledException or 403. PUT replaces the whole
    list, DELETE empties it.
``GET``, ``DELETE /_local/queues``
    the exact present counts of the standard queues, whatever GetQueueAttributes returns: ``[{"name", "visible",
    "in_flight", "delayed", "second_deliveries"}]``; ``second_deliveries`` counts since the queue was created.
    ``/_local/queues/<name>``: one queue. DELETE deletes no message: it makes GetQueueAttributes return exact counts
    until the next change.
``GET /_local/schedules``
    the one-time schedules that have fired: ``[{"arn", "due", "target", "attempts": [{"at", "error": null or text}],
    "delivered": true, false, or null while a retry may follow}]``, oldest firing first.
"""
