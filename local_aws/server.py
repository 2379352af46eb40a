"""The HTTP server: moto's application behind control pages, faults and policy, on kept-alive connections."""

import io
import logging
import socket
import struct
from http import HTTPStatus
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import BaseWSGIServer, DechunkedInput, make_server

from local_aws import stacks
from local_aws.cloudwatch import models as cloudwatch
from local_aws.control import ControlPages, InForce, State
from local_aws.faults import ConnectionCutError, FaultMiddleware, Faults
from local_aws.lookoutvision.models import LookoutProjects
from local_aws.lookoutvision.responses import LookoutVisionApp
from local_aws.model_life import ModelLife
from local_aws.oddities import OdditiesInForce
from local_aws.policy.middleware import PolicyInForce, PolicyMiddleware
from local_aws.rekognition import models as rekognition
from local_aws.s3 import models as s3
from local_aws.s3.middleware import S3Middleware
from local_aws.s3.troubles import Troubles
from local_aws.sagemaker import models as sagemaker
from local_aws.sagemaker_runtime import models as sagemaker_runtime
from local_aws.scheduler import models as scheduler
from local_aws.scheduler.models import Fired
from local_aws.settings import WorldSettings
from local_aws.sqs import models as sqs

log = logging.getLogger(__name__)

ACCOUNT_ID = "123456789012"
_NO_BODY = (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)


class KeepAliveHandler(MotoRequestHandler):
    """Serves many requests on one connection.

    werkzeug's handler closes the connection after each answer, because it cannot know whether the request's body was
    read to its end. This handler reads the whole body first, and sends the answer in one piece.
    """

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    log_requests = False

    def run_wsgi(self) -> None:
        """Answer one request."""
        environ = self.make_environ()
        self._read_body(environ)
        began: list[Any] = []

        def start_response(*args: Any) -> Any:
            began[:] = args[:2]

        try:
            answer = self.server.app(environ, start_response)
            try:
                body = b"".join(answer)
            finally:
                if hasattr(answer, "close"):
                    answer.close()
            status, headers = began
        except ConnectionCutError:
            self._cut()
            return
        except Exception:  # an error in moto fails one request, not the server
            log.exception("%s %s failed", self.command, self.path)
            status, headers, body = (
                "500 Internal Server Error",
                [],
                b"the embedded AWS failed on this request: see the log of its process",
            )
        self._send(status, headers, body)

    def _cut(self) -> None:
        """Close the connection with a TCP RST, which close sends if the socket lingers for zero seconds."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.rfile.close()  # rfile holds the socket open
        self.connection.close()

    def _read_body(self, environ: dict[str, Any]) -> None:
        if isinstance(environ["wsgi.input"], DechunkedInput):
            body = environ["wsgi.input"].read()
            environ.pop("HTTP_TRANSFER_ENCODING")
            environ["CONTENT_LENGTH"] = str(len(body))
        else:
            body = self.rfile.read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)

    def _send(self, status: str, headers: list[tuple[str, str]], body: bytes) -> None:
        code, _, reason = status.partition(" ")
        lines = [f"{self.protocol_version} {code} {reason}", f"Date: {self.date_time_string()}"]
        if self.command == "HEAD":
            body = b""  # the headers keep the Content-Length that a GET would have
            lines += [f"{name}: {value}" for name, value in headers]
            if not any(name.lower() == "content-length" for name, _ in headers):
                lines.append("Content-Length: 0")
        else:
            lines += [f"{name}: {value}" for name, value in headers if name.lower() != "content-length"]
            if int(code) in _NO_BODY:
                body = b""
            else:
                lines.append(f"Content-Length: {len(body)}")
        if self.close_connection:
            lines.append("Connection: close")
        if self.log_requests:  # logged before the answer, because its receiver may end the process
            log.info("%s %s %s", self.command, self.path, status)
        self.wfile.write("\r\n".join([*lines, "", ""]).encode("latin-1") + body)


class LoggingHandler(KeepAliveHandler):
    """Logs one line per request."""

    log_requests = True


class CachingDispatcher(DomainDispatcherApplication):
    """Caches moto's choice of a service per host: moto lists its own folders on every request."""

    def __init__(self) -> None:
        super().__init__(create_backend_app)
        self._backends: dict[str | None, Any] = {}

    def get_backend_for_host(self, host: str | None) -> Any:
        """The name of the service for a host, or None."""
        if host not in self._backends:
            self._backends[host] = super().get_backend_for_host(host)
        return self._backends[host]


def _install(oddities: OdditiesInForce, troubles: Troubles) -> None:
    """Make moto serve the services of this package."""
    for service in (cloudwatch, sagemaker, sagemaker_runtime, scheduler, stacks):
        service.install()
    rekognition.install(oddities)
    sqs.install(oddities)
    s3.install(troubles)


def _state(region: str, lookout: LookoutProjects) -> State:
    """The functions that find models, fired schedules and queues for the control pages."""

    def models() -> list[ModelLife]:
        projects = rekognition.backend_of(ACCOUNT_ID, region).projects.values()
        versions = [version for project in projects for version in project.versions.values()]
        hosted = [] if lookout.model is None else [lookout.model]
        return [*versions, *hosted, *sagemaker.backend_of(ACCOUNT_ID, region).config_lives()]

    def fired() -> list[Fired]:
        return scheduler.backend_of(ACCOUNT_ID, region).fired

    return State(models, fired, lambda: sqs.queues_of(ACCOUNT_ID, region))


def build_server(
    host: str,
    port: int,
    settings: WorldSettings,
    lookout: LookoutProjects,
    oddities: OdditiesInForce,
    log_requests: bool,
) -> BaseWSGIServer:
    """A threaded server of the embedded AWS, bound to its port but not yet serving; port 0 picks a free port."""
    in_force = InForce(Faults(), PolicyInForce(), oddities, Troubles())
    _install(oddities, in_force.troubles)
    services = S3Middleware(LookoutVisionApp(CachingDispatcher(), lookout), oddities, ACCOUNT_ID)
    app = FaultMiddleware(PolicyMiddleware(services, in_force.policy, ACCOUNT_ID), in_force.faults)
    pages = ControlPages(app, in_force, _state(settings.region, lookout), settings.chosen_model)
    handler = LoggingHandler if log_requests else KeepAliveHandler
    return make_server(host, port, pages, threaded=True, request_handler=handler)
