"""Stack creations that fail, and conditions that an update changes: moto's CloudFormation lacks both.

A creation that fails is rolled back: CloudFormation deletes the created resources, except those with ``DeletionPolicy:
Retain``. The stack ends in ROLLBACK_COMPLETE, and can then only be deleted. ``RetainExceptOnCreate`` keeps a resource
when the stack is deleted, but not when its creation is rolled back.
https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-attribute-deletionpolicy.html

The creation of a stack with the tag ``local-aws:fails-at`` fails on purpose: at the resource with that logical id or,
if the tag is a number, at the resource with that position in the order of creation, counted from 1.
"""

import logging
from typing import Any

from moto.cloudformation import parsing
from moto.cloudformation.exceptions import ValidationError
from moto.cloudformation.models import CloudFormationBackend, Event, Stack
from moto.cloudformation.parsing import ResourceMap
from moto.utilities.utils import get_partition

log = logging.getLogger(__name__)

FAILS_AT = "local-aws:fails-at"
_ROLLED_BACK = ("ROLLBACK_COMPLETE", "ROLLBACK_FAILED")
_URL_SUFFIXES = {"aws-cn": "amazonaws.com.cn"}

_moto_clean_json = parsing.clean_json
_moto_create_resource = parsing.parse_and_create_resource
_moto_update_resource = parsing.parse_and_update_resource
_moto_load = ResourceMap.load
_moto_create = ResourceMap.create
_moto_delete = ResourceMap.delete
_moto_create_resources = Stack.create_resources
_moto_update_stack = CloudFormationBackend.update_stack
_moto_create_change_set = CloudFormationBackend.create_change_set
_moto_execute_change_set = CloudFormationBackend.execute_change_set


class ResourceFailedError(Exception):
    """A resource could not be created; has its logical id, its type and the reason."""

    def __init__(self, logical_id: str, resource_type: str, reason: str):
        super().__init__(f"{logical_id} ({resource_type}): {reason}")
        self.logical_id = logical_id
        self.resource_type = resource_type
        self.reason = reason


def install() -> None:
    """Replace functions of moto by name, because its stacks have no extension point."""
    changes: dict[Any, dict[str, Any]] = {
        parsing: {
            "clean_json": _clean_json,
            "parse_and_create_resource": _create_resource,
            "parse_and_update_resource": _update_resource,
        },
        ResourceMap: {"load": _load, "create": _create, "delete": _delete},
        Stack: {"create_resources": _create_resources},
        CloudFormationBackend: {
            "update_stack": _update_stack,
            "create_change_set": _create_change_set,
            "execute_change_set": _execute_change_set,
        },
    }
    for owner, functions in changes.items():
        for name, function in functions.items():
            setattr(owner, name, function)


def _clean_json(value: Any, resources: Any) -> Any:
    """Remove the None that moto leaves in a list for AWS::NoValue in a template."""
    cleaned = _moto_clean_json(value, resources)
    return [one for one in cleaned if one is not None] if isinstance(value, list) else cleaned


def _load(resources: ResourceMap) -> None:
    partition = get_partition(resources._region_name)
    resources._parsed_resources["AWS::Partition"] = partition
    resources._parsed_resources["AWS::URLSuffix"] = _URL_SUFFIXES.get(partition, "amazonaws.com")
    _moto_load(resources)


def _create_resource(
    logical_id: str, resource_json: dict[str, Any], resources: ResourceMap, account_id: str, region_name: str
) -> Any:
    condition = resource_json.get("Condition")
    if condition and not resources.lazy_condition_map[condition]:
        return None
    made = sum(name in resources._resource_json_map for name in resources._parsed_resources)
    try:
        if resources.tags.get(FAILS_AT) in (logical_id, str(made + 1)):
            raise ResourceFailedError(
                logical_id, resource_json["Type"], f"the stack's tag {FAILS_AT} names this resource"
            )
        return _moto_create_resource(logical_id, resource_json, resources, account_id, region_name)
    except ResourceFailedError:
        raise
    except Exception as error:
        raise ResourceFailedError(logical_id, resource_json["Type"], str(error)) from error


def _update_resource(
    logical_id: str, resource_json: dict[str, Any], resources: ResourceMap, account_id: str, region_name: str
) -> Any:
    """Create or delete a resource whose condition has changed; moto would update a resource that does not exist."""
    condition = resource_json.get("Condition")
    wanted = not condition or resources.lazy_condition_map[condition]
    there = resources._parsed_resources.get(logical_id)
    if wanted and there is not None:
        return _moto_update_resource(logical_id, resource_json, resources, account_id, region_name)
    if there is not None:
        resources._delete_resource(there, resource_json)
    return _create_resource(logical_id, resource_json, resources, account_id, region_name)


def _create(resources: ResourceMap, template: dict[str, Any]) -> bool:
    resources.failure = None  # type: ignore[attr-defined]
    try:
        return _moto_create(resources, template)
    except ResourceFailedError as error:
        log.warning("the creation of stack %s failed and is rolled back: %s", resources["AWS::StackName"], error)
        resources.failure = error  # type: ignore[attr-defined]
        return False


def _delete(resources: ResourceMap) -> None:
    """Delete the resources; RetainExceptOnCreate keeps a resource unless this rolls back a creation."""
    rolls_back = getattr(resources, "failure", None) is not None
    policy = "Delete" if rolls_back else "Retain"
    resources._resource_json_map = {
        name: {**resource, "DeletionPolicy": policy}
        if resource.get("DeletionPolicy") == "RetainExceptOnCreate"
        else resource
        for name, resource in resources._resource_json_map.items()
    }
    _moto_delete(resources)


def _create_resources(stack: Stack) -> None:
    _moto_create_resources(stack)
    _roll_back_if_failed(stack)


def _roll_back_if_failed(stack: Stack) -> None:
    failure: ResourceFailedError | None = getattr(stack.resource_map, "failure", None)
    if failure is None or stack.status in _ROLLED_BACK:
        return
    stack.events.append(
        Event(
            stack_id=stack.stack_id,
            stack_name=stack.name,
            logical_resource_id=failure.logical_id,
            physical_resource_id="",
            resource_type=failure.resource_type,
            resource_status="CREATE_FAILED",
            resource_status_reason=failure.reason,
            resource_properties=None,
        )
    )
    stack._add_stack_event(
        "ROLLBACK_IN_PROGRESS",
        f"The following resource(s) failed to create: [{failure.logical_id}].",
    )
    try:
        stack.resource_map.delete()
        stack.status = "ROLLBACK_COMPLETE"
    except Exception as error:  # noqa: BLE001 - any resource may refuse, such as a bucket that is not empty
        log.warning("stack %s cannot be rolled back: %s", stack.name, error)
        stack.status = "ROLLBACK_FAILED"
    stack._add_stack_event(stack.status)
    # moto would create a missing resource on lookup, so the map is emptied.
    stack.resource_map._resource_json_map = {}
    stack.output_map = type(stack.output_map)(stack.resource_map, {}, stack.stack_id)


def _refuse_update(stack: Stack) -> None:
    if stack.status in _ROLLED_BACK:
        raise ValidationError(message=f"Stack:{stack.stack_id} is in {stack.status} state and can not be updated.")


def _update_stack(backend: CloudFormationBackend, name: str, *arguments: Any, **more: Any) -> Stack:
    _refuse_update(backend.get_stack(name))
    return _moto_update_stack(backend, name, *arguments, **more)


def _create_change_set(
    backend: CloudFormationBackend, stack_name: str, *arguments: Any, **more: Any
) -> tuple[str, str]:
    for stack in backend.stacks.values():
        if stack.name == stack_name:
            _refuse_update(stack)
    return _moto_create_change_set(backend, stack_name, *arguments, **more)


def _execute_change_set(backend: CloudFormationBackend, change_set_name: str, stack_name: str | None = None) -> None:
    change_set = backend.describe_change_set(change_set_name)
    if change_set is None or change_set.change_set_type != "CREATE":
        _moto_execute_change_set(backend, change_set_name, stack_name)
        return
    stack = backend.stacks[change_set.stack_id]
    stack.template = change_set.template
    stack._parse_template()
    stack.parameters = change_set.parameters
    stack.resource_map = stack._create_resource_map()
    stack.output_map = stack._create_output_map()
    stack._add_stack_event("CREATE_IN_PROGRESS", resource_status_reason="User Initiated")
    stack.create_resources()
    change_set.execution_status = "EXECUTE_COMPLETE"
