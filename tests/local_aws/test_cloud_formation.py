"""A template's buckets have all their properties, including those that moto leaves out."""

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.local_aws.conftest import Aws, receive

TEMPLATE: dict[str, Any] = {
    "Resources": {
        "Queue": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "stack-queue"}},
        "Source": {
            "Type": "AWS::S3::Bucket",
            "Properties": {
                "BucketName": "stack-source",
                "VersioningConfiguration": {"Status": "Enabled"},
                "PublicAccessBlockConfiguration": {
                    "BlockPublicAcls": True,
                    "BlockPublicPolicy": True,
                    "IgnorePublicAcls": True,
                    "RestrictPublicBuckets": True,
                },
                "LifecycleConfiguration": {
                    "Rules": [
                        {"Id": "old", "Status": "Enabled", "Prefix": "runs/", "ExpirationInDays": 30},
                        {
                            "Id": "parts",
                            "Status": "Enabled",
                            "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7},
                        },
                    ]
                },
                "NotificationConfiguration": {
                    "QueueConfigurations": [
                        {
                            "Event": "s3:ObjectCreated:*",
                            "Queue": {"Fn::GetAtt": ["Queue", "Arn"]},
                            "Filter": {"S3Key": {"Rules": [{"Name": "suffix", "Value": ".png"}]}},
                        }
                    ]
                },
            },
        },
        "SourcePolicy": {
            "Type": "AWS::S3::BucketPolicy",
            "Properties": {
                "Bucket": {"Ref": "Source"},
                "PolicyDocument": {
                    "Version": "2012-10-17",
                    "Statement": [
                        {
                            "Sid": "only-https",
                            "Effect": "Deny",
                            "Principal": "*",
                            "Action": "s3:*",
                            "Resource": {"Fn::Sub": "${Source.Arn}/*"},
                            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
                        }
                    ],
                },
            },
        },
    }
}


def test_a_stack_makes_changes_and_removes_all_of_a_bucket(aws: Aws, s3: Any, sqs: Any) -> None:
    stacks, name = aws.client("cloudformation"), "pictures"
    stacks.create_stack(StackName=name, TemplateBody=json.dumps(TEMPLATE))
    bucket = {"Bucket": "stack-source"}
    assert s3.get_bucket_versioning(**bucket)["Status"] == "Enabled"
    assert all(s3.get_public_access_block(**bucket)["PublicAccessBlockConfiguration"].values())
    rules = s3.get_bucket_lifecycle_configuration(**bucket)["Rules"]
    assert [rule["ID"] for rule in rules] == ["old", "parts"]
    assert (rules[0]["Expiration"]["Days"], rules[0]["Filter"]) == (30, {"Prefix": "runs/"})
    assert rules[1]["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 7}
    (statement,) = json.loads(s3.get_bucket_policy(**bucket)["Policy"])["Statement"]
    assert statement["Resource"] == "arn:aws:s3:::stack-source/*"
    url = sqs.get_queue_url(QueueName="stack-queue")["QueueUrl"]
    for key in ("a.png", "a.txt"):
        s3.put_object(**bucket, Key=key, Body=b"1")
    bodies = [json.loads(message["Body"]) for message in receive(sqs, url)]
    assert [body.get("Event") or body["Records"][0]["s3"]["object"]["key"] for body in bodies] == [
        "s3:TestEvent",
        "a.png",
    ]

    changed = json.loads(json.dumps(TEMPLATE).replace(".png", ".txt"))
    changed["Resources"]["SourcePolicy"]["Properties"]["PolicyDocument"]["Statement"][0]["Sid"] = "changed"
    stacks.update_stack(StackName=name, TemplateBody=json.dumps(changed))
    assert json.loads(s3.get_bucket_policy(**bucket)["Policy"])["Statement"][0]["Sid"] == "changed"
    receive(sqs, url)
    for key in ("b.png", "b.txt"):
        s3.put_object(**bucket, Key=key, Body=b"1")
    (message,) = receive(sqs, url)
    assert json.loads(message["Body"])["Records"][0]["s3"]["object"]["key"] == "b.txt"

    for version in s3.list_object_versions(**bucket)["Versions"]:
        s3.delete_object(**bucket, Key=version["Key"], VersionId=version["VersionId"])
    stacks.delete_stack(StackName=name)
    with pytest.raises(ClientError, match="404"):
        s3.head_bucket(**bucket)


def test_a_statement_without_a_condition_is_enforced(s3: Any) -> None:
    s3.create_bucket(Bucket="closed")
    deny = {"Effect": "Deny", "Principal": "*", "Action": "s3:PutObject", "Resource": "arn:aws:s3:::closed/*"}
    s3.put_bucket_policy(Bucket="closed", Policy=json.dumps({"Version": "2012-10-17", "Statement": [deny]}))
    with pytest.raises(ClientError, match="403"):
        s3.put_object(Bucket="closed", Key="a", Body=b"1")
