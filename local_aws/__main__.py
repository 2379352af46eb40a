"""``python -m local_aws``: serve until SIGTERM or SIGINT, then end with status 0."""

import logging
import os
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from local_aws.options import fail, parse_options

_ENDING = (signal.SIGTERM, signal.SIGINT)

log = logging.getLogger("local_aws")


def main(arguments: Sequence[str] | None = None) -> None:
    """Start the server, create the buckets, queues and models, print their environment variables, wait for a signal."""
    # sigwait below receives these signals. A signal handler would interrupt the main thread, perhaps while that thread
    # holds a lock that the handler needs: a deadlock.
    signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
    options = parse_options(arguments)
    # Imported here because moto takes a second to import: --help and option errors must answer quickly.
    from local_aws.account import make_world, session
    from local_aws.lookoutvision.models import LookoutProjects
    from local_aws.oddities import OdditiesInForce
    from local_aws.scheduler.firing import ScheduleRunner
    from local_aws.server import ACCOUNT_ID, build_server

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    logging.getLogger("botocore").setLevel(logging.WARNING)
    log.info("oddities (seed %d): %s", options.oddities.seed, "; ".join(options.oddities.words()) or "none")
    settings, lookout, oddities = options.world, LookoutProjects(), OdditiesInForce(options.oddities)
    try:
        server = build_server(options.host, options.port, settings, lookout, oddities, options.log_requests)
    except OSError as error:
        fail(f"cannot listen on {options.host}:{options.port}: {error}")
    threading.Thread(target=server.serve_forever, name="server", daemon=True).start()
    # 0.0.0.0 is an address to listen on. Clients cannot connect to it.
    reachable = "127.0.0.1" if options.host in ("0.0.0.0", "") else options.host  # noqa: S104
    world = make_world(f"http://{reachable}:{server.port}", ACCOUNT_ID, settings, lookout)
    ScheduleRunner(world.endpoint, session(world.region)).start()
    lines = "".join(f"{name}={value}\n" for name, value in world.environment().items())
    if options.env_file is not None:
        _write(options.env_file, lines)
    sys.stdout.write(lines)
    sys.stdout.flush()
    log.info("serving on %s; examples in %s", world.endpoint, settings.examples.resolve())
    signal.sigwait(_ENDING)
    log.info("ended")
    logging.shutdown()
    sys.stdout.flush()
    # os._exit, because sys.exit would wait for requests that are still in long polls or in OpenCV.
    os._exit(0)


def _write(path: Path, text: str) -> None:
    """Write a file atomically: a process that waits for the file never reads a part of it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.part")
        part.write_text(text)
        part.replace(path)
    except OSError as error:
        fail(f"--env-file: cannot write {path}: {error}")


if __name__ == "__main__":
    main()
