"""Objects that S3 refuses to return, buckets of another Region, and S3s that ignore conditions."""

import hashlib
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import boto3
import pytest
import requests
from botocore.exceptions import ClientError

from tests.local_aws.conftest import Aws
from tests.local_aws.pictures import photograph, png
from tests.local_aws.policies import error_of

KEY = "0123456789abcdef0123456789abcdef"
WITH_KEY = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": KEY}
COPY_WITH_KEY = {"CopySourceSSECustomerAlgorithm": "AES256", "CopySourceSSECustomerKey": KEY}
OK = (0, "")
PICTURE = png(photograph("coffee"))
#: A function that makes a refused object, and the status and code of each operation's answer.
Refusal = dict[str, tuple[int, str]]


def answers(s3: Any, rekognition: Any, aws: Aws, key: str) -> Refusal:
    """The answers to HEAD, GET, copy and detection of an object."""
    place = {"Bucket": aws.source, "Key": key}
    source = {"Bucket": aws.final, "Key": f"{key}-copy", "CopySource": place}
    image = {"S3Object": {"Bucket": aws.source, "Name": key}}
    return {
        "head": error_of(s3.head_object, **place)[:2],
        "get": error_of(s3.get_object, **place)[:2],
        "copy": error_of(s3.copy_object, **source)[:2],
        "detect": error_of(rekognition.detect_custom_labels, ProjectVersionArn=aws.model_arn, Image=image)[:2],
    }


def put_archived(aws: Aws, s3: Any, key: str) -> None:
    s3.put_object(Bucket=aws.source, Key=key, Body=PICTURE, StorageClass="GLACIER")


def put_deep(aws: Aws, s3: Any, key: str) -> None:
    s3.put_object(Bucket=aws.source, Key=key, Body=PICTURE, StorageClass="DEEP_ARCHIVE")


def put_restored(aws: Aws, s3: Any, key: str) -> None:
    put_archived(aws, s3, key)
    s3.restore_object(Bucket=aws.source, Key=key, RestoreRequest={"Days": 1})


def put_with_customers_key(aws: Aws, s3: Any, key: str) -> None:
    s3.put_object(Bucket=aws.source, Key=key, Body=PICTURE, **WITH_KEY)


def put_in_trouble(trouble: str) -> Callable[[Aws, Any, str], None]:
    def put(aws: Aws, s3: Any, key: str) -> None:
        s3.put_object(Bucket=aws.source, Key=key, Body=PICTURE)
        aws.control("objects", "PUT", [{"bucket": aws.source, "key": key, "trouble": trouble}])

    return put


def put_under_disabled_key(aws: Aws, s3: Any, key: str) -> None:
    kms = aws.client("kms")
    key_id = kms.create_key()["KeyMetadata"]["KeyId"]
    s3.put_object(Bucket=aws.source, Key=key, Body=PICTURE, ServerSideEncryption="aws:kms", SSEKMSKeyId=key_id)
    kms.disable_key(KeyId=key_id)


INVALID = (400, "InvalidS3ObjectException")


@pytest.mark.parametrize(
    ("make", "wanted"),
    [
        pytest.param(
            put_archived,
            {"head": OK, "get": (403, "InvalidObjectState"), "copy": (403, "ObjectNotInActiveTierError")},
            id="archived in GLACIER",
        ),
        pytest.param(
            put_deep,
            {"head": OK, "get": (403, "InvalidObjectState"), "copy": (403, "ObjectNotInActiveTierError")},
            id="archived in DEEP_ARCHIVE",
        ),
        pytest.param(put_restored, {"head": OK, "get": OK, "copy": OK, "detect": OK}, id="archived and restored"),
        pytest.param(
            put_with_customers_key,
            {"head": (400, "400"), "get": (400, "InvalidRequest"), "copy": (400, "InvalidRequest")},
            id="encrypted with a customer's key",
        ),
        pytest.param(
            put_in_trouble("denied"),
            {"head": (403, "403"), "get": (403, "AccessDenied"), "copy": (403, "AccessDenied")},
            id="denied by a policy or its owner",
        ),
        pytest.param(
            put_in_trouble("kms-disabled"),
            {"head": OK, "get": (400, "KMS.DisabledException"), "copy": (400, "KMS.DisabledException")},
            id="KMS key disabled, by the control page",
        ),
        pytest.param(
            put_under_disabled_key,
            {"head": OK, "get": (400, "KMS.DisabledException"), "copy": (400, "KMS.DisabledException")},
            id="KMS key disabled, in KMS",
        ),
        pytest.param(
            put_in_trouble("kms-denied"),
            {"head": OK, "get": (403, "AccessDenied"), "copy": (403, "AccessDenied")},
            id="KMS key denied",
        ),
    ],
)
def test_an_object_is_refused_as_s3_refuses_it(
    aws: Aws, s3: Any, rekognition: Any, make: Callable[[Aws, Any, str], None], wanted: Refusal
) -> None:
    aws.model(status="RUNNING")
    s3.put_object(Bucket=aws.source, Key="beside.png", Body=PICTURE)
    make(aws, s3, "a b+é.png")
    assert answers(s3, rekognition, aws, "a b+é.png") == {"detect": INVALID} | wanted
    assert set(answers(s3, rekognition, aws, "beside.png").values()) == {OK}
    s3.delete_object(Bucket=aws.source, Key="a b+é.png")


def test_a_customers_key_opens_its_object_and_no_other_does(aws: Aws, s3: Any) -> None:
    place = {"Bucket": aws.source, "Key": "locked"}
    put_with_customers_key(aws, s3, "locked")
    other = WITH_KEY | {"SSECustomerKey": KEY[::-1]}
    s3.head_object(**place, **WITH_KEY)
    assert s3.get_object(**place, **WITH_KEY)["Body"].read() == PICTURE
    assert error_of(s3.get_object, **place, **other)[:2] == (403, "AccessDenied")
    s3.copy_object(Bucket=aws.final, Key="open", CopySource=place, **COPY_WITH_KEY)
    assert s3.get_object(Bucket=aws.final, Key="open")["Body"].read() == PICTURE
    assert error_of(s3.get_object, Bucket=aws.final, Key="open", **WITH_KEY)[:2] == (400, "InvalidRequest")
    s3.copy_object(Bucket=aws.final, Key="locked", CopySource=place, **COPY_WITH_KEY, **WITH_KEY)
    assert error_of(s3.head_object, Bucket=aws.final, Key="locked")[0] == 400
    s3.put_object(**place, Body=b"now open")
    assert s3.get_object(**place)["Body"].read() == b"now open"


def test_the_tags_of_a_denied_object_are_denied_too(aws: Aws, s3: Any) -> None:
    put_in_trouble("denied")(aws, s3, "denied")
    assert error_of(s3.get_object_tagging, Bucket=aws.source, Key="denied")[:2] == (403, "AccessDenied")
    aws.control("objects", "DELETE")
    assert s3.get_object_tagging(Bucket=aws.source, Key="denied")["TagSet"] == []


@pytest.mark.parametrize(
    ("body", "named"),
    [
        pytest.param({}, "list", id="no list"),
        pytest.param([{"bucket": "a", "key": "b"}], "trouble", id="no trouble"),
        pytest.param([{"bucket": "a", "key": "b", "trouble": "lost"}], "trouble", id="no such trouble"),
        pytest.param([{"bucket": "", "key": "b", "trouble": "denied"}], "bucket", id="no bucket"),
        pytest.param([{"bucket": "a", "key": "b", "trouble": "denied", "why": 1}], "why", id="no such member"),
    ],
)
def test_an_invalid_list_of_objects_is_refused(aws: Aws, body: Any, named: str) -> None:
    right = [{"bucket": "a", "key": "b", "trouble": "denied"}]
    assert aws.control("objects", "PUT", right) == right
    answer = requests.put(f"{aws.endpoint}/_local/objects", json=body, timeout=10)
    assert answer.status_code == 400
    assert named in answer.json()["error"]
    assert aws.control("objects") == right


@pytest.mark.parametrize(
    ("given", "headed"),
    [({}, None), ({"StorageClass": "STANDARD"}, None), ({"StorageClass": "STANDARD_IA"}, "STANDARD_IA")],
    ids=["none", "STANDARD", "STANDARD_IA"],
)
def test_head_has_the_storage_class_of_an_object_and_of_its_copy(
    aws: Aws, s3: Any, given: dict[str, str], headed: str | None
) -> None:
    s3.put_object(Bucket=aws.source, Key="a", Body=b"1", **given)
    s3.copy_object(Bucket=aws.final, Key="b", CopySource={"Bucket": aws.source, "Key": "a"}, **given)
    for bucket, key in ((aws.source, "a"), (aws.final, "b")):
        assert s3.head_object(Bucket=bucket, Key=key).get("StorageClass") == headed


@pytest.fixture
def abroad(aws: Aws, s3: Any) -> str:
    """A bucket in another Region, with an object."""
    name = f"abroad-{uuid4().hex[:8]}"
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    client_of(aws, "eu-west-1").put_object(Bucket=name, Key="a.png", Body=PICTURE)
    return name


def client_of(aws: Aws, region: str) -> Any:
    """A client that does not know the bucket's Region."""
    return boto3.client(
        "s3",
        region,
        endpoint_url=aws.endpoint,
        aws_access_key_id="local",
        aws_secret_access_key="local",  # noqa: S106
    )


def test_botocore_follows_a_bucket_to_its_region(aws: Aws, abroad: str) -> None:
    here, seen = client_of(aws, "us-east-1"), []
    here.meta.events.register(
        "response-received.s3", lambda response_dict, **_: seen.append(response_dict["status_code"])
    )
    assert here.head_bucket(Bucket=abroad)["BucketRegion"] == "eu-west-1"
    assert here.get_object(Bucket=abroad, Key="a.png")["Body"].read() == PICTURE
    here.copy_object(Bucket=aws.final, Key="home.png", CopySource={"Bucket": abroad, "Key": "a.png"})
    assert seen[:2] == [301, 200]
    assert here.head_bucket(Bucket=aws.source)["BucketRegion"] == "us-east-1"


@pytest.mark.parametrize("method", ["head_object", "get_object", "delete_object"])
def test_a_request_for_another_region_is_answered_301_with_the_right_one(aws: Aws, abroad: str, method: str) -> None:
    here, seen = client_of(aws, "us-east-1"), []
    here.meta.events.register(
        "response-received.s3",
        lambda response_dict, **_: seen.append(
            (response_dict["status_code"], response_dict["headers"].get("x-amz-bucket-region"))
        ),
    )
    getattr(here, method)(Bucket=abroad, Key="a.png")
    assert seen[0] == (301, "eu-west-1")
    assert seen[-1][0] < 300


def test_the_location_of_a_bucket_is_returned_in_any_region(s3: Any, abroad: str) -> None:
    assert s3.get_bucket_location(Bucket=abroad)["LocationConstraint"] == "eu-west-1"


@pytest.mark.parametrize("where", ["in another Region", "that Rekognition may not read"])
def test_rekognition_refuses_a_bucket(aws: Aws, s3: Any, rekognition: Any, abroad: str, where: str) -> None:
    bucket = abroad if where == "in another Region" else aws.source
    s3.put_object(Bucket=aws.source, Key="a.png", Body=PICTURE)
    aws.model(status="RUNNING")
    aws.control("oddities", "PUT", {"unreadable_buckets": [aws.source]})
    image = {"S3Object": {"Bucket": bucket, "Name": "a.png"}}
    refused = error_of(rekognition.detect_custom_labels, ProjectVersionArn=aws.model_arn, Image=image)
    words = "Unable to get object metadata from S3. Check object key, region and/or access permissions."
    assert refused == (*INVALID, words)
    assert s3.get_object(Bucket=aws.source, Key="a.png")["Body"].read() == PICTURE


def etag(body: bytes) -> str:
    return f'"{hashlib.md5(body).hexdigest()}"'  # noqa: S324


OTHER = etag(b"other")


@pytest.mark.parametrize(
    ("operation", "arguments", "obeyed"),
    [
        pytest.param("put_object", {"Body": b"new", "IfNoneMatch": "*"}, 412, id="put if absent"),
        pytest.param("put_object", {"Body": b"new", "IfMatch": OTHER}, 412, id="put over"),
        pytest.param("copy_object", {"CopySourceIfMatch": OTHER}, 412, id="copy of an eTag"),
        pytest.param("copy_object", {"IfNoneMatch": "*"}, 412, id="copy if absent"),
        pytest.param("delete_object", {"IfMatch": OTHER}, 412, id="delete an eTag"),
    ],
)
@pytest.mark.parametrize("mode", ["obeyed", "refused", "ignored"])
def test_conditions_are_supported_refused_or_ignored(
    aws: Aws, s3: Any, operation: str, arguments: dict[str, Any], obeyed: int, mode: str
) -> None:
    s3.put_object(Bucket=aws.source, Key="a", Body=b"1")
    s3.put_object(Bucket=aws.final, Key="from", Body=b"2")
    aws.control("oddities", "PUT", {"conditions": mode})
    if operation == "copy_object":
        arguments = arguments | {"CopySource": {"Bucket": aws.final, "Key": "from"}}
    status, code, _ = error_of(getattr(s3, operation), Bucket=aws.source, Key="a", **arguments)
    assert (status, code) == {
        "obeyed": (obeyed, "PreconditionFailed"),
        "refused": (501, "NotImplemented"),
        "ignored": OK,
    }[mode]
    try:
        left = s3.get_object(Bucket=aws.source, Key="a")["Body"].read()
    except ClientError:
        left = b""
    assert (left == b"1") is (mode != "ignored")


def test_reads_keep_their_conditions_in_every_mode(aws: Aws, s3: Any) -> None:
    s3.put_object(Bucket=aws.source, Key="a", Body=b"1")
    for mode in ("refused", "ignored"):
        aws.control("oddities", "PUT", {"conditions": mode})
        assert error_of(s3.get_object, Bucket=aws.source, Key="a", IfMatch=OTHER)[0] == 412
        s3.put_object(Bucket=aws.source, Key="a", Body=b"1")
