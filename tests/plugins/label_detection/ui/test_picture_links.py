"""Links to pictures on AWS itself, without a configured endpoint. Signing them needs no network."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from fastapi.testclient import TestClient

from label_detection.ui import pictures
from tests.conftest import OPTION
from tests.plugins.label_detection.ui.conftest import RUN_ID
from tests.plugins.label_detection.ui.known import DAG_ID

KEY = "line 3/a+b 猫-1f0c9a7be2.png"
#: Partition, Region, and the domain of S3's hosts in it. The last three of `aws` are opt-in Regions.
REGIONS = [
    ("aws", "us-east-1", "amazonaws.com"),
    ("aws", "eu-west-1", "amazonaws.com"),
    ("aws", "ap-northeast-1", "amazonaws.com"),
    ("aws", "sa-east-1", "amazonaws.com"),
    ("aws", "us-west-2", "amazonaws.com"),
    ("aws", "me-south-1", "amazonaws.com"),
    ("aws", "eu-south-2", "amazonaws.com"),
    ("aws", "ap-southeast-5", "amazonaws.com"),
    ("aws-cn", "cn-north-1", "amazonaws.com.cn"),
    ("aws-us-gov", "us-gov-west-1", "amazonaws.com"),
]

Place = Callable[[str, str, str], None]


@pytest.fixture
def place(browser: TestClient, monkeypatch: pytest.MonkeyPatch) -> Place:
    """Configures a model's partition and Region, and the final bucket, on AWS itself."""

    def place(partition: str, region: str, bucket: str) -> None:
        for name in [name for name in os.environ if name.startswith("AWS_ENDPOINT_URL")]:
            monkeypatch.delenv(name)
        model = f"arn:{partition}:rekognition:{region}:123456789012:project/p/version/v/1"
        queue = f"https://sqs.{region}.amazonaws.com{'.cn' if partition == 'aws-cn' else ''}/123456789012/q"
        for option, value in {"MODEL_ARN": model, "QUEUE_URL": queue, "FINAL_BUCKET": bucket}.items():
            monkeypatch.setenv(OPTION + option, value)

    found: dict[str, Any] = {"is_picture": True, "key": KEY}
    monkeypatch.setattr(pictures, "find_image", lambda *_: found)
    return place


@pytest.mark.parametrize(("partition", "region", "domain"), REGIONS, ids=[region for _, region, _ in REGIONS])
@pytest.mark.parametrize("bucket", ["parts-final", "parts.final.example"], ids=["a plain bucket", "a bucket with dots"])
def test_a_link_goes_to_the_buckets_region_and_the_page_may_load_pictures_only_from_there(
    browser: TestClient, place: Place, partition: str, region: str, domain: str, bucket: str
) -> None:
    place(partition, region, bucket)
    answer = browser.get(f"/runs/{DAG_ID}/picture", params={"run_id": RUN_ID, "image": "000-0123abcd-000000:0"})
    assert answer.status_code == 302, answer.text
    link = urlsplit(answer.headers["location"])
    host, path = f"s3.{region}.{domain}", f"/{KEY}"
    if "." in bucket:  # S3's certificate covers one name before the Region's host
        path = f"/{bucket}{path}"
    else:
        host = f"{bucket}.{host}"
    assert (link.scheme, link.netloc, unquote(link.path)) == ("https", host, path)
    assert f"/{region}/s3/aws4_request" in parse_qs(link.query)["X-Amz-Credential"][0]
    page = browser.get(f"/runs/{DAG_ID}", params={"run_id": RUN_ID})
    policy = page.headers["content-security-policy"].split("; ")
    assert [part for part in policy if part.startswith("img-src")] == [f"img-src 'self' https://{host}"]


@pytest.mark.parametrize(
    "endpoint",
    [
        "https://s3.eu-west-1.amazonaws.com",
        "https://bucket.vpce-1a2b.s3.eu-west-1.vpce.amazonaws.com",
        "http://aws:5000",
    ],
)
def test_with_an_endpoint_a_browser_is_redirected_only_to_aws_itself(
    browser: TestClient, place: Place, monkeypatch: pytest.MonkeyPatch, endpoint: str
) -> None:
    place("aws", "eu-west-1", "parts-final")
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    policy = browser.get(f"/runs/{DAG_ID}", params={"run_id": RUN_ID}).headers["content-security-policy"]
    public = "https://parts-final.s3.eu-west-1.amazonaws.com"
    expected = f"'self' {public}" if "vpce" not in endpoint and "aws:" not in endpoint else "'self'"
    assert f"img-src {expected};" in policy
