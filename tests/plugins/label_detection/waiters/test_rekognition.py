"""`waiters/rekognition.json`, state by state, for the blocking waiter and for the deferrable one."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

import pytest
from botocore.exceptions import WaiterError
from botocore.model import StringShape

if TYPE_CHECKING:
    from label_detection.hooks.rekognition import RekognitionModelHook
    from tests.conftest import Aws

DONE, GOES_ON, FAILS = "done", "goes on", "fails"
#: By state: the result of `model_running`, and of `model_stopped`.
STATES = {
    "TRAINING_IN_PROGRESS": (FAILS, DONE),
    "TRAINING_COMPLETED": (FAILS, DONE),
    "TRAINING_FAILED": (FAILS, DONE),
    "STARTING": (GOES_ON, GOES_ON),
    "RUNNING": (DONE, GOES_ON),
    "FAILED": (FAILS, DONE),
    "STOPPING": (FAILS, GOES_ON),
    "STOPPED": (FAILS, DONE),
    "DELETING": (FAILS, DONE),
    "COPYING_IN_PROGRESS": (FAILS, DONE),
    "COPYING_COMPLETED": (FAILS, DONE),
    "COPYING_FAILED": (FAILS, DONE),
    "DEPRECATED": (FAILS, DONE),
    "EXPIRED": (FAILS, DONE),
}
WAITERS = ("model_running", "model_stopped")
ONCE = {"Delay": 0, "MaxAttempts": 1}


def blocking(hook: RekognitionModelHook, waiter: str, arguments: dict[str, Any]) -> str:
    """The result of the blocking waiter, which `stop_model` uses, after one look at a state."""
    try:
        hook.get_waiter(waiter).wait(**arguments, WaiterConfig=ONCE)
    except WaiterError as error:
        return outcome(error)
    return DONE


def deferrable(hook: RekognitionModelHook, waiter: str, arguments: dict[str, Any]) -> str:
    """The result of the deferrable waiter, which the triggerer uses, after one look at a state."""

    async def look() -> str:
        async with await hook.get_async_conn() as client:
            try:
                found = cast("Any", hook.get_waiter(waiter, deferrable=True, client=client))
                await found.wait(**arguments, WaiterConfig=ONCE)
            except WaiterError as error:
                return outcome(error)
        return DONE

    return asyncio.run(look())


def outcome(error: WaiterError) -> str:
    reason = str(error)
    if "Max attempts exceeded" in reason:
        return GOES_ON
    return FAILS if "terminal failure" in reason else reason


def test_the_table_has_every_state_of_the_service(hook: RekognitionModelHook) -> None:
    states = hook.api.meta.service_model.shape_for("ProjectVersionStatus")
    assert isinstance(states, StringShape)
    assert set(STATES) == set(states.enum)


@pytest.mark.parametrize("waiter", WAITERS)
@pytest.mark.parametrize("status", STATES)
def test_each_state_ends_the_wait_or_goes_on(aws: Aws, hook: RekognitionModelHook, waiter: str, status: str) -> None:
    aws.put_model(status)
    expected = STATES[status][WAITERS.index(waiter)]
    found = blocking(hook, waiter, hook.waiter_args()), deferrable(hook, waiter, hook.waiter_args())
    assert found == (expected, expected)


@pytest.mark.parametrize("waiter", WAITERS)
def test_an_unknown_version_fails_and_is_not_waited_for(hook: RekognitionModelHook, waiter: str) -> None:
    unknown = hook.waiter_args() | {"VersionNames": ["no-such-version"]}
    assert (blocking(hook, waiter, unknown), deferrable(hook, waiter, unknown)) == (FAILS, FAILS)


@pytest.mark.parametrize("waiter", WAITERS)
def test_an_error_of_aws_ends_the_wait_with_that_error(aws: Aws, hook: RekognitionModelHook, waiter: str) -> None:
    arguments = hook.waiter_args()
    aws.fail("rekognition", "DescribeProjectVersions", status=400, code="AccessDeniedException", message="not yours")
    for look in (blocking, deferrable):
        reason = look(hook, waiter, arguments)
        assert "AccessDeniedException" in reason
        assert "not yours" in reason
