"""The header x-amz-copy-source, which names the object that a request copies."""

from dataclasses import dataclass
from urllib.parse import unquote


@dataclass(frozen=True)
class CopySource:
    """Bucket, key and optional version, from ``bucket/url-encoded-key?versionId=id``."""

    bucket: str
    key: str
    version_id: str | None

    @classmethod
    def parse(cls, header: str) -> "CopySource":
        """Read the header x-amz-copy-source."""
        path, _, version_id = header.partition("?versionId=")
        bucket, _, key = unquote(path).removeprefix("/").partition("/")
        return cls(bucket, key, version_id or None)
