"""Properties of buckets in CloudFormation templates that moto ignores.

These are notification, versioning, public access block and life-cycle rules; also the resource AWS::S3::BucketPolicy.
"""

import json
from typing import Any

from moto.core.common_models import CloudFormationModel
from moto.s3.models import FakeBucket, S3Backend, s3_backends
from moto.utilities.utils import get_partition

from local_aws.stack_resource import StackResource

_moto_create = FakeBucket.create_from_cloudformation_json
_moto_update = FakeBucket.update_from_cloudformation_json
_moto_get_permission = FakeBucket.get_permission

# Name of a configuration in a template and in the API; then the member that names the target in a template and the API.
_TARGETS = (
    ("QueueConfigurations", "QueueConfiguration", "Queue", "Queue"),
    ("TopicConfigurations", "TopicConfiguration", "Topic", "Topic"),
    ("LambdaConfigurations", "CloudFunctionConfiguration", "Function", "CloudFunction"),
)


class BucketPolicy(StackResource, CloudFormationModel):
    """AWS::S3::BucketPolicy; its physical id is the bucket's name."""

    @staticmethod
    def cloudformation_type() -> str:
        """The resource type in a template."""
        return "AWS::S3::BucketPolicy"

    @classmethod
    def _make(cls, name: str, properties: dict[str, Any], account_id: str, region: str) -> str:  # noqa: ARG003
        document = json.dumps(properties["PolicyDocument"]).encode()
        _backend(account_id, region).put_bucket_policy(properties["Bucket"], document)
        return str(properties["Bucket"])

    @classmethod
    def _end(cls, physical_id: str, account_id: str, region: str) -> None:
        backend = _backend(account_id, region)
        if physical_id in backend.buckets:
            backend.delete_bucket_policy(physical_id)


def install() -> None:
    """Add the missing properties to moto's buckets, by patching the class that moto creates buckets from."""
    changes = {
        "create_from_cloudformation_json": classmethod(_create),
        "update_from_cloudformation_json": classmethod(_update),
        "get_permission": _get_permission,
    }
    for name, function in changes.items():
        setattr(FakeBucket, name, function)


def _create(
    _: type[FakeBucket], /, resource_name: str, cloudformation_json: Any, account_id: str, region_name: str, **more: Any
) -> FakeBucket:
    bucket = _moto_create(resource_name, cloudformation_json, account_id, region_name, **more)
    _apply(bucket, cloudformation_json.get("Properties", {}), _backend(account_id, region_name))
    return bucket


def _update(
    _: type[FakeBucket],
    /,
    original_resource: Any,
    new_resource_name: str,
    cloudformation_json: Any,
    account_id: str,
    region_name: str,
) -> FakeBucket:
    # moto reads the bucket's name from the properties, but a template may leave it out.
    properties = {"BucketName": original_resource.name, **cloudformation_json.get("Properties", {})}
    bucket = _moto_update(
        original_resource, new_resource_name, {**cloudformation_json, "Properties": properties}, account_id, region_name
    )
    if bucket is original_resource:
        _apply(bucket, properties, _backend(account_id, region_name))
    return bucket


def _get_permission(bucket: FakeBucket, action: str, resource: str) -> Any:
    """moto's decision on a bucket policy without its statements that have a Condition.

    moto does not evaluate conditions: it would apply a statement that denies plain HTTP to every request.
    """
    whole = bucket.policy
    if whole is None:
        return _moto_get_permission(bucket, action, resource)
    policy = json.loads(whole)
    statements = policy.get("Statement", [])
    statements = [statements] if isinstance(statements, dict) else statements
    plain = [statement for statement in statements if not statement.get("Condition")]
    try:
        bucket.policy = json.dumps({**policy, "Statement": plain}).encode() if plain else None
        return _moto_get_permission(bucket, action, resource)
    finally:
        bucket.policy = whole


def _backend(account_id: str, region_name: str) -> S3Backend:
    return s3_backends[account_id][get_partition(region_name)]


def _apply(bucket: FakeBucket, properties: dict[str, Any], backend: S3Backend) -> None:
    properties = {name: value for name, value in properties.items() if value is not None}
    if "VersioningConfiguration" in properties:
        backend.put_bucket_versioning(bucket.name, properties["VersioningConfiguration"]["Status"])
    if "PublicAccessBlockConfiguration" in properties:
        backend.put_public_access_block(bucket.name, properties["PublicAccessBlockConfiguration"])
    if "LifecycleConfiguration" in properties:
        bucket.set_lifecycle([_rule(rule) for rule in properties["LifecycleConfiguration"]["Rules"]])
    if "NotificationConfiguration" in properties:
        bucket.set_notification_configuration(_notification(properties["NotificationConfiguration"]))


def _notification(configuration: dict[str, Any]) -> dict[str, Any]:
    """A template's notification, converted to the form that the API gives to moto."""
    answer: dict[str, Any] = {}
    for plural, name, member, target in _TARGETS:
        rules = []
        for given in configuration.get(plural, []):
            rule: dict[str, Any] = {target: given[member], "Event": [given["Event"]]}
            if "Filter" in given:
                found = [
                    {"Name": part["Name"].lower(), "Value": part["Value"]} for part in given["Filter"]["S3Key"]["Rules"]
                ]
                rule["Filter"] = {"S3Key": {"FilterRule": found}}
            rules.append(rule)
        if rules:
            answer[name] = rules
    if str(configuration.get("EventBridgeConfiguration", {}).get("EventBridgeEnabled", False)).lower() == "true":
        answer["EventBridgeConfiguration"] = {}
    return answer


def _rule(rule: dict[str, Any]) -> dict[str, Any]:
    """A template's life-cycle rule, converted to the form that the API gives to moto."""
    answer: dict[str, Any] = {"Status": rule["Status"], "Filter": {"Prefix": rule.get("Prefix", "")}}
    if "Id" in rule:
        answer["ID"] = rule["Id"]
    if "ExpirationInDays" in rule:
        answer["Expiration"] = {"Days": rule["ExpirationInDays"]}
    if "ExpiredObjectDeleteMarker" in rule:
        answer["Expiration"] = {"ExpiredObjectDeleteMarker": str(rule["ExpiredObjectDeleteMarker"]).lower()}
    if "NoncurrentVersionExpiration" in rule:
        answer["NoncurrentVersionExpiration"] = rule["NoncurrentVersionExpiration"]
    if "AbortIncompleteMultipartUpload" in rule:
        answer["AbortIncompleteMultipartUpload"] = rule["AbortIncompleteMultipartUpload"]
    if "Transitions" in rule:
        answer["Transition"] = [
            {"Days": given.get("TransitionInDays"), "StorageClass": given["StorageClass"]}
            for given in rule["Transitions"]
        ]
    return answer
