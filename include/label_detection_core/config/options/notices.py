"""Where notices go, and when the digest is sent: the options."""

from __future__ import annotations

from pydantic import BaseModel, Field

from label_detection_core.config.option_types import ConnectionId, MailAddresses, TimeOfDay, TopicArn


class NoticeOptions(BaseModel):
    """Options that say where notices go, and when the digest is sent."""

    sns_topic_arn: TopicArn | None = Field(
        None,
        description="The ARN of the SNS topic for notices of failed runs, failed stops and the watchdog. Empty: none",
    )
    slack_conn_id: ConnectionId | None = Field(
        None,
        description="The id of the Airflow connection of type `slackwebhook` that gets the same notices. Empty: none",
    )
    mail_to: MailAddresses | None = Field(
        None, description="The mail addresses that get the same notices, with commas between them. Empty: none"
    )
    smtp_conn_id: ConnectionId = Field(
        "smtp_default",
        description="The id of the Airflow connection of type `smtp` that sends mail to `mail_to`; its `from_email` is "
        "the sender",
    )
    webhook_conn_id: ConnectionId | None = Field(
        None,
        description="The id of the Airflow connection of type `http` whose address gets the same notices as JSON, with "
        "the report of the run. Empty: none",
    )
    digest_at: TimeOfDay | None = Field(
        None,
        description="When a digest of the day before is sent as a notice: a time in `timezone`, such as `08:00`. "
        "Empty: never",
    )
