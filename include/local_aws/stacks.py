"""Resource types that moto's CloudFormation leaves out: it says CREATE_COMPLETE, and nothing is there.

AWS::SQS::QueuePolicy, AWS::SNS::Subscription and AWS::CloudWatch::Alarm; buckets and their policies are with S3. An
update replaces such a resource.
"""

import json
from typing import Any, Self

from moto.cloudwatch.models import cloudwatch_backends
from moto.core.common_models import CloudFormationModel
from moto.sns.models import sns_backends
from moto.sqs.models import sqs_backends


class StackResource:
    """What is the same for all: no property names them, they have no attributes, and they are there at once.

    Not a CloudFormationModel itself: moto looks among its direct subclasses.
    """

    def __init__(self, physical_resource_id: str):
        self.physical_resource_id = physical_resource_id

    @staticmethod
    def install() -> None:
        """Importing this is enough: moto finds what is there."""

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
        """Make it anew, in its place."""
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


class QueuePolicy(StackResource, CloudFormationModel):
    """AWS::SQS::QueuePolicy, called by its queues' names."""

    @staticmethod
    def cloudformation_type() -> str:
        """The type in a template."""
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
    """AWS::SNS::Subscription, called by its ARN."""

    @staticmethod
    def cloudformation_type() -> str:
        """The type in a template."""
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
    """AWS::CloudWatch::Alarm on one metric, called by its name. It is there to be looked at; it never fires."""

    @staticmethod
    def cloudformation_type() -> str:
        """The type in a template."""
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
