"""Removes secrets from error texts.

Two AWS error texts can contain secrets. The URL of an endpoint may contain a login. The message about a refused
signature repeats the whole request, with the session token.
"""

from __future__ import annotations

import re

#: The user and password in a URL; they end at the last @ before the path. The length of the scheme is limited: without
#: a limit, a text such as `a.a.a.` takes time that grows with the square of its length.
_LOGIN = re.compile(r"(?P<scheme>\b[a-z][a-z0-9+.-]{0,30}://)[^\s/?#'\"<>]*@", re.IGNORECASE)
#: Headers in a canonical request, one per line.
_HEADER = re.compile(r"(?P<name>\b(?:x-amz-security-token|authorization) *: *)[^\r\n]+", re.IGNORECASE)
#: Query parameters in a signed URL.
_PARAMETER = re.compile(
    r"(?P<name>\b(?:x-amz-(?:security-token|signature|credential)|signature|awsaccesskeyid)=)[^\s&'\"<>]+",
    re.IGNORECASE,
)


def redact(text: str) -> str:
    """Return the text with `…` instead of logins, session tokens and signatures."""
    for pattern in (_LOGIN, _HEADER, _PARAMETER):
        kept, end = ("scheme", "@") if pattern is _LOGIN else ("name", "")
        text = pattern.sub(rf"\g<{kept}>…{end}", text)
    return text


def shown(value: object) -> str:
    """Return a value as text that a page may show: one line, no secrets, only printable characters."""
    return redact("".join(c if c.isprintable() else " " for c in str(value)))
