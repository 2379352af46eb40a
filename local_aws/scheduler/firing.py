"""Call the targets of one-time schedules when they are due.

A target is called over HTTP at the embedded AWS itself, so that faults and the policy apply to the call. Differences
from AWS: AWS calls within a minute, and here the call follows within a fraction of a second; AWS does not publish its
back-off between retries, and here it is 1, 2, 4 ... 30 seconds; AWS calls with the permissions of the target's role,
and here the role is ignored.
"""

import json
import logging
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from moto.scheduler.models import Schedule, scheduler_backends

from local_aws.scheduler.models import Attempt, Fired, LocalSchedulerBackend
from local_aws.scheduler.validation import universal_target

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.25
FIRST_WAIT = 1.0  # seconds
LONGEST_WAIT = 30.0  # seconds
# https://docs.aws.amazon.com/scheduler/latest/APIReference/API_RetryPolicy.html
MAX_RETRIES = 185
MAX_AGE_SECONDS = 86_400


class ScheduleRunner:
    """Looks for due schedules and fires each one in its own thread."""

    def __init__(self, endpoint: str, session: boto3.Session):
        self._endpoint = endpoint
        self._session = session
        self._session_lock = threading.Lock()  # sessions are not thread-safe; clients are

    def start(self) -> None:
        """Start the thread that looks for due schedules until the process ends."""
        threading.Thread(target=self._run, name="scheduler", daemon=True).start()

    def _run(self) -> None:
        while True:
            time.sleep(LOOK_SECONDS)
            # The backends are looked up each time, because moto's reset creates new ones.
            for backend in [b for account in list(scheduler_backends.values()) for b in list(account.values())]:
                if isinstance(backend, LocalSchedulerBackend):
                    for at, schedule in backend.take_due(datetime.now(UTC)):
                        threading.Thread(target=self._fire, args=(backend, at, schedule), daemon=True).start()

    def _fire(self, backend: LocalSchedulerBackend, at: datetime, schedule: Schedule) -> None:
        fired = Fired(schedule.arn, at, schedule.target["Arn"])
        backend.fired.append(fired)
        fired.delivered = self._deliver(backend, fired, schedule)
        with backend.lock:
            done = backend.has(schedule) and not backend.is_planned(schedule)
            if done and schedule.action_after_completion == "DELETE":
                backend.delete_schedule(schedule.group_name, schedule.name)

    def _deliver(self, backend: LocalSchedulerBackend, fired: Fired, schedule: Schedule) -> bool:
        """Call the target until a call succeeds or the retry policy is exhausted; returns whether a call succeeded.

        Retries also end if the schedule is deleted or becomes due again.
        """
        target = dict(schedule.target)
        policy = target.get("RetryPolicy") or {}
        retries = policy.get("MaximumRetryAttempts", MAX_RETRIES)
        last = fired.due + timedelta(seconds=policy.get("MaximumEventAgeInSeconds", MAX_AGE_SECONDS))
        wait = FIRST_WAIT
        for left in range(retries, -1, -1):
            error = self._call(backend.region_name, target)
            fired.attempts.append(Attempt(datetime.now(UTC), error))
            log.info("schedule %s: %s: %s", schedule.name, target["Arn"].rpartition(":::")[2], error or "done")
            if error is None:
                return True
            if left == 0 or datetime.now(UTC) + timedelta(seconds=wait) > last:
                break
            time.sleep(wait)
            wait = min(2 * wait, LONGEST_WAIT)
            if not backend.has(schedule) or backend.is_planned(schedule):
                break
        return False

    def _call(self, region: str, target: dict[str, Any]) -> str | None:
        """Call a target once; returns the error, or None."""
        universal = universal_target(target["Arn"])
        if universal is None:
            return "not a universal target"
        service, operation = universal
        try:
            with self._session_lock:
                client = self._session.client(
                    service,  # type: ignore[call-overload]
                    endpoint_url=self._endpoint,
                    region_name=region,
                    config=Config(retries={"total_max_attempts": 1}),
                )
            method = {name: method for method, name in client.meta.method_to_api_mapping.items()}[operation.name]
            getattr(client, method)(**json.loads(target.get("Input") or "{}"))
        except (ClientError, BotoCoreError) as error:
            return str(error)
        return None
