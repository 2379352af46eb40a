"""S3 behaviour that the pipeline depends on: keys, conditional copies and deletes, and parallel clients."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.local_aws.conftest import Aws

KEYS = [
    pytest.param("line 3/part + bolt.png", id="spaces and plus"),
    pytest.param("100%25 %2F.png", id="percent signs"),
    pytest.param("é/猫 🐈.png", id="not ASCII"),
    pytest.param("a'b\"c`.png", id="quotes"),
    pytest.param("<script>alert(1)</script>&amp;.png", id="markup"),
    pytest.param("x" * 996 + ".png", id="1000 bytes"),
    pytest.param("猫" * 332 + ".png", id="1000 bytes in 336 characters"),
    pytest.param("/a//b/./c/../d.png", id="slashes and dots"),
    pytest.param("a?b=c&list-type=2#d;e.png", id="query characters"),
    pytest.param("a\nb\tc.png", id="line break and tab"),
    pytest.param("back\\slash~!*().png", id="punctuation"),
]


def code_of(call: Callable[..., Any], **arguments: Any) -> tuple[int, str]:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    answer = caught.value.response
    return answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"]


@pytest.mark.parametrize("key", KEYS)
def test_any_key_is_stored_listed_copied_with_all_it_has_and_deleted(aws: Aws, s3: Any, key: str) -> None:
    stored = s3.put_object(
        Bucket=aws.source, Key=key, Body=b"pixels", ContentType="image/png", Metadata={"line": "3"}, Tagging="a=b"
    )
    copied = s3.copy_object(
        Bucket=aws.final,
        Key=key,
        CopySource={"Bucket": aws.source, "Key": key},
        CopySourceIfMatch=stored["ETag"],
    )
    assert copied["CopyObjectResult"]["ETag"] == stored["ETag"]
    found = s3.get_object(Bucket=aws.final, Key=key)
    assert (found["Body"].read(), found["ContentType"], found["Metadata"]) == (b"pixels", "image/png", {"line": "3"})
    assert s3.get_object_tagging(Bucket=aws.final, Key=key)["TagSet"] == [{"Key": "a", "Value": "b"}]
    assert [item["Key"] for item in s3.list_objects_v2(Bucket=aws.final)["Contents"]] == [key]
    s3.delete_object(Bucket=aws.source, Key=key, IfMatch=stored["ETag"])
    assert code_of(s3.head_object, Bucket=aws.source, Key=key)[0] == 404


def test_a_copy_or_a_delete_of_an_overwritten_object_is_refused_and_changes_nothing(aws: Aws, s3: Any) -> None:
    old = s3.put_object(Bucket=aws.source, Key="a.png", Body=b"old")["ETag"]
    new = s3.put_object(Bucket=aws.source, Key="a.png", Body=b"new")["ETag"]
    source = {"Bucket": aws.source, "Key": "a.png"}
    refused = (412, "PreconditionFailed")
    assert code_of(s3.copy_object, Bucket=aws.final, Key="a.png", CopySource=source, CopySourceIfMatch=old) == refused
    assert code_of(s3.delete_object, Bucket=aws.source, Key="a.png", IfMatch=old) == refused
    assert s3.list_objects_v2(Bucket=aws.final)["KeyCount"] == 0
    assert s3.get_object(Bucket=aws.source, Key="a.png", IfMatch=new)["Body"].read() == b"new"


def test_an_absent_object_cannot_be_copied_but_can_be_deleted(aws: Aws, s3: Any) -> None:
    source = {"Bucket": aws.source, "Key": "gone.png"}
    absent = (404, "NoSuchKey")
    assert code_of(s3.copy_object, Bucket=aws.final, Key="a", CopySource=source, CopySourceIfMatch='"x"') == absent
    assert code_of(s3.delete_object, Bucket=aws.source, Key="gone.png", IfMatch='"x"') == absent
    assert code_of(s3.delete_object, Bucket=aws.source, Key="gone.png", IfMatch="*") == absent
    assert s3.delete_object(Bucket=aws.source, Key="gone.png")["ResponseMetadata"]["HTTPStatusCode"] == 204


def test_a_copy_with_if_none_match_does_not_replace(aws: Aws, s3: Any) -> None:
    s3.put_object(Bucket=aws.source, Key="a.png", Body=b"1")
    there = s3.put_object(Bucket=aws.final, Key="a.png", Body=b"0")["ETag"]
    copy = {"Bucket": aws.final, "Key": "a.png", "CopySource": {"Bucket": aws.source, "Key": "a.png"}}
    assert code_of(s3.copy_object, **copy, IfNoneMatch="*") == (412, "PreconditionFailed")
    assert code_of(s3.copy_object, **copy, IfMatch='"other"') == (412, "PreconditionFailed")
    s3.copy_object(**copy, IfMatch=there)
    assert s3.get_object(Bucket=aws.final, Key="a.png")["Body"].read() == b"1"


def test_in_a_versioned_bucket_the_version_is_copied_and_a_delete_leaves_a_marker(aws: Aws, s3: Any) -> None:
    s3.create_bucket(Bucket="versioned")
    s3.put_bucket_versioning(Bucket="versioned", VersioningConfiguration={"Status": "Enabled"})
    first = s3.put_object(Bucket="versioned", Key="a.png", Body=b"first")
    second = s3.put_object(Bucket="versioned", Key="a.png", Body=b"second")
    source = {"Bucket": "versioned", "Key": "a.png", "VersionId": first["VersionId"]}
    s3.copy_object(Bucket=aws.final, Key="a.png", CopySource=source, CopySourceIfMatch=first["ETag"])
    assert s3.get_object(Bucket=aws.final, Key="a.png")["Body"].read() == b"first"
    refused = (412, "PreconditionFailed")
    assert code_of(s3.delete_object, Bucket="versioned", Key="a.png", IfMatch=first["ETag"]) == refused
    assert s3.delete_object(Bucket="versioned", Key="a.png", IfMatch=second["ETag"])["DeleteMarker"]
    assert code_of(s3.delete_object, Bucket="versioned", Key="a.png", IfMatch="*") == refused
    assert code_of(s3.get_object, Bucket="versioned", Key="a.png")[0] == 404


def test_readers_never_see_half_an_overwrite(aws: Aws, s3: Any) -> None:
    bodies = {bytes([letter]) * 200_000 for letter in b"abcd"}
    s3.put_object(Bucket=aws.final, Key="busy.bin", Body=min(bodies))

    def write(body: bytes) -> None:
        for _ in range(15):
            s3.put_object(Bucket=aws.final, Key="busy.bin", Body=body)

    def read(_: int) -> set[bytes]:
        return {s3.get_object(Bucket=aws.final, Key="busy.bin")["Body"].read() for _ in range(15)}

    with ThreadPoolExecutor(8) as threads:
        writes = [threads.submit(write, body) for body in bodies]
        reads = [threads.submit(read, reader) for reader in range(4)]
        for task in writes:
            task.result()
        assert set().union(*(task.result() for task in reads)) <= bodies


def test_one_connection_serves_many_requests(aws: Aws) -> None:
    s3 = aws.client("s3")
    ports = {s3.list_buckets()["ResponseMetadata"]["HTTPHeaders"].get("connection", "kept") for _ in range(3)}
    assert ports == {"kept"}


def test_an_objects_annotations_are_copied(aws: Aws, s3: Any) -> None:
    place = {"Bucket": aws.source, "Key": "annotated"}
    s3.put_object(**place, Body=b"1")
    s3.put_object_annotation(**place, AnnotationName="line", AnnotationPayload=b"3")
    for directive, kept in (({}, ["line"]), ({"AnnotationDirective": "EXCLUDE"}, [])):
        copy = {"Bucket": aws.final, "Key": f"copy {kept}"}
        s3.copy_object(**copy, CopySource=place, **directive)
        found = s3.list_object_annotations(**copy).get("Annotations", [])
        assert [one["AnnotationName"] for one in found] == kept
    answer = s3.get_object_annotation(Bucket=aws.final, Key="copy ['line']", AnnotationName="line")
    assert answer["AnnotationPayload"].read() == b"3"
