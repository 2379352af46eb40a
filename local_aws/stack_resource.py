"""What is the same for each resource type that moto's CloudFormation leaves out."""

from typing import Any, Self


class StackResource:
    """What is the same for all: no property names them, they have no attributes, and they are there at once.

    Not a CloudFormationModel itself: moto looks among its direct subclasses.
    """

    def __init__(self, physical_resource_id: str):
        self.physical_resource_id = physical_resource_id

    @staticmethod
    def cloudformation_name_type() -> str:
        """No property names it."""
        return ""

    def is_created(self) -> bool:
        """At once."""
        return True

    @classmethod
    def has_cfn_attr(cls, attr: str) -> bool:  # noqa: ARG003 - moto's signature
        """It has none."""
        return False

    @classmethod
    def create_from_cloudformation_json(
        cls, resource_name: str, cloudformation_json: Any, account_id: str, region_name: str, **_: Any
    ) -> Self:
        """Make it."""
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
        """Make it again, in its place."""
        cls._end(original_resource.physical_resource_id, account_id, region_name)
        return cls.create_from_cloudformation_json(new_resource_name, cloudformation_json, account_id, region_name)

    @classmethod
    def delete_from_cloudformation_json(
        cls, resource_name: str, cloudformation_json: Any, account_id: str, region_name: str
    ) -> None:
        """Take it away."""
        del cloudformation_json
        cls._end(resource_name, account_id, region_name)

    @classmethod
    def _make(cls, name: str, properties: dict[str, Any], account_id: str, region: str) -> str:
        """Make it; what it is called by."""
        raise NotImplementedError

    @classmethod
    def _end(cls, physical_id: str, account_id: str, region: str) -> None:
        """Take it away, if it is still there."""
        raise NotImplementedError
