"""An AWS in one process: S3, SQS and the rest of moto over HTTP, with a Rekognition that lives.

``python -m include.local_aws --help`` says what can be set. The state is in memory and ends with the process.

What is not moto's own:

* ``rekognition/``: project versions with states and delays, inference units, a rate limit, the service's
  errors, and a detector (``detector.py``) that finds what the pictures in the examples folder show;
* ``s3/`` and ``sqs/``: moto's, corrected where it differs from AWS in what a pipeline relies on, and safe
  under many threads;
* ``scheduler/``: EventBridge Scheduler's one-time schedules fire (moto only stores them) if they have a universal
  target; others are stored;
* ``faults.py``: any call of any service can be made to fail, at once or late, always or now and then, or to have
  its connection cut;
* ``policy/``: calls can be denied by an IAM policy.

Control pages: plain JSON over HTTP, no login, for tests and the curious.

``GET /_local/model``
    ``{"arn", "status", "message", "units", "history": [{"status", "at"}], "detects", "throttled",
    "first_detect_at", "last_detect_at", "on_seconds", "running_seconds"}``. ``at`` is ISO 8601 in UTC;
    ``on_seconds`` counts from an accepted start until the model is off again; ``running_seconds`` counts RUNNING
    alone; the first detect began, and the last one ended, since it last came to be RUNNING. Of several models
    (``--more-models``) this is the first; ``/_local/model/<version name>`` is any.
``PUT /_local/model``
    ``{"status": one of the 14 states, "message": text}`` puts the model there, and there it stays until it
    is started, stopped or put elsewhere. ``{"start_outcome": "FAILED"}`` makes every later start end there
    instead of in RUNNING, until it is put back to ``"RUNNING"``. ``{"rate", "latency"}`` are those of the command
    line, from now on. Any key may be left out.
``GET``, ``PUT``, ``DELETE /_local/faults``
    the list of faults, each as described in ``faults.py``; PUT replaces all of them, DELETE ends them.
``GET``, ``PUT``, ``DELETE /_local/policy``
    an IAM policy document that every call needs to be allowed by, whoever makes it; null, and after DELETE: none, all
    is allowed. What is denied is answered with the service's own error. A call of which it is not known what IAM
    asks for is denied too. Control pages never are.
``GET /_local/schedules``
    what one-time schedules have done: ``[{"arn", "due", "target", "attempts": [{"at", "error": null or text}],
    "delivered": true, false, or null while it may be tried again}]``, the first that fired first.
"""
