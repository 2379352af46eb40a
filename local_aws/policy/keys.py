"""The permissions on KMS keys that a call needs, from the encryption of its bucket, object or queue.

A key that AWS manages (``alias/aws/...``) needs no permission: each user of the account may use it through its service.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html,
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-key-management.html
"""

from moto.s3.models import S3Backend, s3_backends
from moto.sqs.models import sqs_backends
from moto.utilities.utils import get_partition

from local_aws.operations import Request
from local_aws.policy.document import Permission

DECRYPT = "kms:Decrypt"
ENCRYPT = "kms:GenerateDataKey"
_KEY_HEADER = "x-amz-server-side-encryption-aws-kms-key-id"


def to_read(account_id: str, region: str, bucket: str, key: str, version: str | None = None) -> list[Permission]:
    """The permissions that reading an object needs, on the key that encrypts the object."""
    backend = _s3(account_id, region)
    stored = backend.get_object(bucket, key, version) if bucket in backend.buckets else None
    encrypted = stored is not None and stored.encryption in ("aws:kms", "aws:kms:dsse")
    return _on(stored.kms_key_id if stored and encrypted else None, account_id, region, DECRYPT)


def to_write(account_id: str, region: str, bucket: str, request: Request) -> list[Permission]:
    """The permissions that writing an object needs, on the key that the request names, or else on the bucket's key."""
    named = request.headers.get(_KEY_HEADER)
    found = _s3(account_id, region).buckets.get(bucket)
    if named is None and found is not None and found.encryption:
        rule = found.encryption["Rule"]["ApplyServerSideEncryptionByDefault"]
        named = rule.get("KMSMasterKeyID")
    return _on(named, account_id, region, ENCRYPT)


def of_queue(account_id: str, region: str, queue: str, operation: str) -> list[Permission]:
    """The permissions that an operation on a queue needs, on the key that encrypts the queue."""
    asked = {"SendMessage": (ENCRYPT, DECRYPT), "SendMessageBatch": (ENCRYPT, DECRYPT), "ReceiveMessage": (DECRYPT,)}
    found = sqs_backends[account_id][region].queues.get(queue)
    key = getattr(found, "kms_master_key_id", None)
    return _on(key, account_id, region, *asked.get(operation, ()))


def _s3(account_id: str, region: str) -> S3Backend:
    return s3_backends[account_id][get_partition(region)]


def _on(key: str | None, account_id: str, region: str, *actions: str) -> list[Permission]:
    if not key or "alias/aws/" in key:
        return []
    arn = key if key.startswith("arn:") else f"arn:{get_partition(region)}:kms:{region}:{account_id}:key/{key}"
    return [Permission(action, arn) for action in actions]
