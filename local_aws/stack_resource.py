"""Base class of the resource types that moto's CloudFormation lacks."""

from typing import Any, Self


class StackResource:
    """A resource without a name property and without attributes, which exists as soon as it is created.

    Not itself a CloudFormationModel, because moto finds resource types among the direct subclasses of that class.
    """

    def __init__(self, physical_resource_id: str):
        self.physical_resource_id = physical_resource_id

    @staticmethod
    def cloudformation_name_type() -> str:
        """The property with the resource's name: none."""
        return ""

    def is_created(self) -> bool:
        """Whether the creation has finished: always."""
        return True

    @classmethod
    def has_cfn_attr(cls, attr: str) -> bool:  # noqa: ARG003 - moto's signature
        """Whether the resource has this attribute for Fn::GetAtt: never."""
        return False

    @classmethod
    def create_from_cloudformation_json(
        cls, resource_name: str, cloudformation_json: Any, account_id: str, region_name: str, **_: Any
    ) -> Self:
        """Create the resource."""
        return cls(cls._make(resource_name, cloudformation_json["Properties"], account_id, region_name))

    @classmethod
    def update_from_cloudformation_json(
        cls,
        original_resource: Any,
        new_resource_name: str,
        cloudformation_json: Any,
        account_id: str,
        region_name: str,
    ) -> Self:
        """Replace the resource by a new one."""
        cls._end(original_resource.physical_resource_id, account_id, region_name)
        return cls.create_from_cloudformation_json(new_resource_name, cloudformation_json, account_id, region_name)

    @classmethod
    def delete_from_cloudformation_json(
        cls, resource_name: str, cloudformation_json: Any, account_id: str, region_name: str
    ) -> None:
        """Delete the resource with the physical id ``resource_name``."""
        del cloudformation_json
        cls._end(resource_name, account_id, region_name)

    @classmethod
    def _make(cls, name: str, properties: dict[str, Any], account_id: str, region: str) -> str:
        """Create the resource; returns its physical id."""
        raise NotImplementedError

    @classmethod
    def _end(cls, physical_id: str, account_id: str, region: str) -> None:
        """Delete the resource, if it still exists."""
        raise NotImplementedError
