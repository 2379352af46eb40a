"""Resource types that moto's CloudFormation leaves out: it says CREATE_COMPLETE, and nothing is there.

AWS::SQS::QueuePolicy, AWS::SNS::Subscription and AWS::CloudWatch::Alarm; buckets and their policies are with S3. An
update replaces such a resource.
"""

import json
from typing import Any

from moto.cloudwatch.models import cloudwatch_backends
from moto.core.common_models import CloudFormationModel
from moto.sns.models import sns_backends
from moto.sqs.models import sqs_backends

from include.local_aws.stack_resource import StackResource


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


def install() -> None:
    """Importing this is enough: moto finds what is there."""
