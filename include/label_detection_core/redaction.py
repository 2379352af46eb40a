"""Error texts without secrets. Two kinds of AWS's have some: the endpoint's URL, which may hold a login, and a refused
signature, whose message repeats the whole request, session token included.
"""

from __future__ import annotations

import re

#: A URL's user and password; the last @ before the path ends them. Schemes are short: without a limit the time would
#: grow with the square of a text such as `a.a.a.`
_LOGIN = re.compile(r"(?P<scheme>\b[a-z][a-z0-9+.-]{0,30}://)[^\s/?#'\"<>]*@", re.IGNORECASE)
#: In a canonical request: headers, one a line. In a signed URL: parameters of its query.
_HEADER = re.compile(r"(?P<name>\b(?:x-amz-security-token|authorization) *: *)[^\r\n]+", re.IGNORECASE)
_PARAMETER = re.compile(
    r"(?P<name>\b(?:x-amz-(?:security-token|signature|credential)|signature|awsaccesskeyid)=)[^\s&'\"<>]+",
    re.IGNORECASE,
)


def redact(text: str) -> str:
    """The text, with `…` instead of logins, session tokens and signatures."""
    for pattern in (_LOGIN, _HEADER, _PARAMETER):
        kept, end = ("scheme", "@") if pattern is _LOGIN else ("name", "")
        text = pattern.sub(rf"\g<{kept}>…{end}", text)
    return text


def shown(value: object) -> str:
    """A value as a page may show it: in one line, without secrets, and without what no page and no database takes."""
    return redact("".join(c if c.isprintable() else " " for c in str(value)))
