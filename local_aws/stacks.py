"""Resource types that moto's CloudFormation lacks: moto reports CREATE_COMPLETE without creating them.

These are AWS::SQS::QueuePolicy, AWS::SNS::Subscription and AWS::CloudWatch::Alarm; an update replaces such a resource.
Buckets and their policies are in ``s3/cloud_formation.py``. This module also adds the update and the deletion of
AWS::IAM::ManagedPolicy.
"""

import json
from typing import Any

from moto.cloudwatch.models import cloudwatch_backends
from moto.core.common_models import CloudFormationModel
from moto.iam.models import ManagedPolicy, iam_backends
from moto.sns.models import sns_backends
from moto.sqs.models import sqs_backends
from moto.utilities.utils import get_partition

from local_aws import stack_creation
from local_aws.stack_resource import StackResource


class QueuePolicy(StackResource, CloudFormationModel):
    """AWS::SQS::QueuePolicy; its physical id is the list of its queues' names."""

    @staticmethod
    def cloudformation_type() -> str:
        """The resource type in a template."""
        return "AWS::SQS::QueuePolicy"

    @classmethod
    def _make(cls, name: str, properties: dict[str, Any], account_id: str, region: str) -> str:  # noqa: ARG003
        names = [url.rpartition("/")[2] for url in properties["Queues"]]
        for queue in names:
            backend = sqs_backends[account_id][region]
            backend.set_queue_attributes(queue, {"Policy": json.dumps(properties["PolicyDocument"])})
        return ",".join(names)

    @classmethod
    def _end(cls, physical_id: str, account_id: str, region: str) -> None:
        backend = sqs_backends[account_id][region]
        for queue in physical_id.split(","):
            if queue in backend.queues:
                backend.set_queue_attributes(queue, {"Policy": ""})


class Subscription(StackResource, CloudFormationModel):
    """AWS::SNS::Subscription; its physical id is its ARN."""

    @staticmethod
    def cloudformation_type() -> str:
        """The resource type in a template."""
        return "AWS::SNS::Subscription"

    @classmethod
    def _make(cls, name: str, properties: dict[str, Any], account_id: str, region: str) -> str:  # noqa: ARG003
        sns = sns_backends[account_id][region]
        made = sns.subscribe(properties["TopicArn"], properties["Endpoint"], properties["Protocol"])
        return str(made.arn)

    @classmethod
    def _end(cls, physical_id: str, account_id: str, region: str) -> None:
        sns_backends[account_id][region].unsubscribe(physical_id)


class Alarm(StackResource, CloudFormationModel):
    """AWS::CloudWatch::Alarm on one metric; its physical id is its name. It can be described, but it never fires."""

    @staticmethod
    def cloudformation_type() -> str:
        """The resource type in a template."""
        return "AWS::CloudWatch::Alarm"

    @classmethod
    def _make(cls, name: str, properties: dict[str, Any], account_id: str, region: str) -> str:
        called = str(properties.get("AlarmName", name))
        cloudwatch_backends[account_id][region].put_metric_alarm(
            name=called,
            namespace=properties["Namespace"],
            metric_name=properties["MetricName"],
            comparison_operator=properties["ComparisonOperator"],
            evaluation_periods=int(properties["EvaluationPeriods"]),
            period=int(properties["Period"]),
            threshold=float(properties["Threshold"]),
            statistic=properties["Statistic"],
            description=properties.get("AlarmDescription", ""),
            dimensions=properties.get("Dimensions", []),
            alarm_actions=properties.get("AlarmActions", []),
            treat_missing_data=properties.get("TreatMissingData"),
        )
        return called

    @classmethod
    def _end(cls, physical_id: str, account_id: str, region: str) -> None:
        cloudwatch_backends[account_id][region].delete_alarms([physical_id])


def _update_managed_policy(
    cls: type[ManagedPolicy],
    /,
    original_resource: ManagedPolicy,
    new_resource_name: str,
    cloudformation_json: Any,
    account_id: str,
    region_name: str,
) -> ManagedPolicy:
    """Update an AWS::IAM::ManagedPolicy: a new document makes a new version, a new name replaces the policy."""
    iam = iam_backends[account_id][get_partition(region_name)]
    properties = cloudformation_json["Properties"]
    attached = [role.name for role in iam.roles.values() if original_resource.arn in role.managed_policies]
    if properties.get("ManagedPolicyName", original_resource.name) != original_resource.name:
        made = cls.create_from_cloudformation_json(new_resource_name, cloudformation_json, account_id, region_name)
        _delete_managed_policy(cls, original_resource.arn, None, account_id, region_name)
        return made
    iam.create_policy_version(original_resource.arn, json.dumps(properties["PolicyDocument"]), True)
    for role in set(properties.get("Roles", [])) - set(attached):
        iam.attach_role_policy(original_resource.arn, role)
    return original_resource


def _delete_managed_policy(
    _: type[ManagedPolicy], /, resource_name: str, cloudformation_json: Any, account_id: str, region_name: str
) -> None:
    """Delete an AWS::IAM::ManagedPolicy by its ARN; unlike in AWS, also while another stack's role uses it."""
    del cloudformation_json
    iam = iam_backends[account_id][get_partition(region_name)]
    for role in [role.name for role in iam.roles.values() if resource_name in role.managed_policies]:
        iam.detach_role_policy(resource_name, role)
    iam.delete_policy(resource_name)


def install() -> None:
    """Patch moto's stacks and managed policies. moto finds the classes of this module by itself."""
    stack_creation.install()
    changes = {
        "update_from_cloudformation_json": classmethod(_update_managed_policy),
        "delete_from_cloudformation_json": classmethod(_delete_managed_policy),
    }
    for name, function in changes.items():
        setattr(ManagedPolicy, name, function)
