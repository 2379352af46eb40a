"""Stacks of the pipeline's template, created in LocalStack by CloudFormation over HTTP."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from deploy.release.configure import options_of
from sandbox.environment import PROJECT
from sandbox.waiting import wait_until
from tests.localstack.server import Aws

TEMPLATE = PROJECT / "deploy" / "cloudformation" / "template.yaml"
_SECONDS = 120


@dataclass(frozen=True)
class Stack:
    """A requested stack."""

    aws: Aws
    name: str

    def status(self) -> str:
        """Its status once nothing is in progress; empty when there is no such stack."""
        settled = wait_until(self._settled, _SECONDS, f"the stack {self.name} to settle")
        assert settled is not None
        return settled[0]

    def options(self) -> dict[str, str]:
        """The stack's outputs, as the pipeline's options."""
        return options_of(self.name, self._client)

    def resources(self) -> dict[str, str]:
        """Physical resource ids by logical id."""
        found = self._client.describe_stack_resources(StackName=self.name)["StackResources"]
        return {one["LogicalResourceId"]: one["PhysicalResourceId"] for one in found}

    def delete(self) -> None:
        """Delete the stack, and wait until it is gone."""
        self._client.delete_stack(StackName=self.name)
        gone = {"", "DELETE_COMPLETE"}
        wait_until(lambda: self.status() in gone, _SECONDS, f"the deletion of the stack {self.name}")

    @property
    def _client(self) -> Any:
        return self.aws.client("cloudformation")

    def _settled(self) -> tuple[str] | None:
        try:
            (found,) = self._client.describe_stacks(StackName=self.name)["Stacks"]
        except self._client.exceptions.ClientError:
            return ("",)
        status = str(found["StackStatus"])
        return None if status.endswith("_IN_PROGRESS") else (status,)


def make(aws: Aws, name: str, **parameters: str) -> Stack:
    """Create a stack of the template. Default model: the embedded one. The creation may fail: check `status`."""
    given = {"ModelArn": aws.model_arn, **parameters}
    aws.client("cloudformation").create_stack(
        StackName=name,
        TemplateBody=TEMPLATE.read_text(),
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in given.items()],
        Capabilities=["CAPABILITY_NAMED_IAM"],
    )
    return Stack(aws, name)
