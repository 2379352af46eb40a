"""moto's methods, one per operation, preceded by the service's checks."""

import json
from typing import cast
from urllib.parse import unquote

from moto.scheduler.responses import EventBridgeSchedulerResponse

from local_aws.scheduler.models import LocalSchedulerBackend
from local_aws.scheduler.validation import check_request, check_target, due_at


class LocalSchedulerResponse(EventBridgeSchedulerResponse):
    """Checks the requests that create and update schedules; moto answers them."""

    def create_schedule(self) -> str:
        """CreateSchedule."""
        self._check("CreateSchedule")
        return super().create_schedule()

    def update_schedule(self) -> str:
        """UpdateSchedule: members that the request leaves out are reset to their defaults."""
        self._check("UpdateSchedule")
        backend = cast(LocalSchedulerBackend, self.scheduler_backend)
        with backend.lock:  # moto ignores ActionAfterCompletion; the lock hides the incomplete update
            answer = super().update_schedule()
            schedule = backend.get_schedule(self._get_param("GroupName"), self._name())
            schedule.action_after_completion = self._get_param("ActionAfterCompletion") or "NONE"
        return answer

    def _check(self, operation: str) -> None:
        parameters = json.loads(self.body)
        check_request(operation, parameters | {"Name": self._name()})
        due_at(parameters["ScheduleExpression"], parameters.get("ScheduleExpressionTimezone"))
        check_target(parameters["Target"])

    def _name(self) -> str:
        return unquote(self.uri.split("?")[0].split("/")[-1])
