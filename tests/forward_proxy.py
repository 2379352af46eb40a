"""A forwarding HTTP proxy, such as a company places between its machines and AWS."""

from __future__ import annotations

import http.client
import re
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

#: A host that does not resolve (RFC 6761): a request that bypasses the proxy fails.
ONLY_BEHIND_THE_PROXY = "http://aws.invalid"
#: In a version 4 signature: `Credential=<key>/<date>/<region>/<service>/aws4_request`.
_SERVICE = re.compile(r"Credential=[^/]+/\d+/[^/]+/(?P<service>[^/]+)/aws4_request")
_HOP_BY_HOP = {"connection", "keep-alive", "proxy-connection", "transfer-encoding"}
_NOT_SENT_ON = {*_HOP_BY_HOP, "host"}  # the embedded AWS would read another host name as a bucket name


class ForwardProxy(ThreadingHTTPServer):
    """Forwards each request for `aws.invalid` to the embedded AWS, and counts requests per service."""

    daemon_threads = True

    def __init__(self, target: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.target = target.removeprefix("http://")
        self.seen: Counter[str] = Counter()
        self.user_agents: set[str] = set()
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        """The proxy's URL."""
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: ForwardProxy

    def _forward(self) -> None:
        url = urlsplit(self.path)
        if f"http://{url.netloc}" != ONLY_BEHIND_THE_PROXY:
            self.send_error(502, f"{self.path} is not {ONLY_BEHIND_THE_PROXY}")
            return
        signed = _SERVICE.search(self.headers.get("Authorization", ""))
        with self.server.lock:
            self.server.seen[signed["service"] if signed else "not signed"] += 1
            self.server.user_agents.add(self.headers.get("User-Agent", ""))
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name: value for name, value in self.headers.items() if name.lower() not in _NOT_SENT_ON}
        upstream = http.client.HTTPConnection(self.server.target, timeout=30)
        try:
            upstream.request(self.command, self.path.removeprefix(ONLY_BEHIND_THE_PROXY), body, headers)
            answer = upstream.getresponse()
            content = answer.read()
        finally:
            upstream.close()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in {*_HOP_BY_HOP, "content-length", "date", "server"}:
                self.send_header(name, value)
        length = answer.getheader("Content-Length") if self.command == "HEAD" else str(len(content))
        self.send_header("Content-Length", length or "0")
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _forward  # noqa: N815  # the base class's names

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class's name
        """Do not log to stderr."""


@contextmanager
def forward_proxy(target: str) -> Iterator[ForwardProxy]:
    """Run a proxy in front of an endpoint."""
    proxy = ForwardProxy(target)
    thread = threading.Thread(target=proxy.serve_forever, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.shutdown()
        proxy.server_close()
        thread.join()
