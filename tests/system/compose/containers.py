"""Runs docker-compose.yaml without Docker: every service gets Linux namespaces of its own.

A service has a host name, an address on a bridge, the other services' names in its /etc/hosts, its volumes under /opt,
its user, and a process namespace that ends with its first process. Commands, environment and health checks come
unchanged from the file. Images are replaced: by a virtual environment made from the Dockerfile (see `image`), and by
Debian's Postgres and Redis. Needs root and Debian packages; `missing` names what is not there.
"""

from __future__ import annotations

import itertools
import os
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil

from sandbox.environment import PROJECT
from sandbox.postgres import binaries
from sandbox.processes import Family, Process
from tests.system.compose.compose_file import Service, Volume, quoted

_PACKAGES = {
    "docker-compose": "docker-compose",
    "redis-server": "redis-server",
    "dumb-init": "dumb-init",
    "ip": "iproute2",
    "curl": "curl",
}
#: First three bytes of the container network's addresses; this machine is .1.
_NETWORK = "10.213.77."
#: Environment variables that the images set.
_IMAGE = {
    "AIRFLOW_HOME": "/opt/airflow",
    "HOME": "/opt/airflow",
    "LANG": "C.UTF-8",
}


def missing() -> list[str]:
    """Missing Debian packages, and `root` if the tests do not run as root."""
    packages = [package for command, package in _PACKAGES.items() if not shutil.which(command)]
    try:
        binaries()
    except FileNotFoundError:
        packages.append("postgresql")
    return packages if os.getuid() == 0 else ["root", *packages]


class Container:
    """A running container of a service."""

    def __init__(self, service: Service, name: str, enter: str, process: Process) -> None:
        self.service = service
        self.name = name
        self.process = process
        self._enter = enter

    def is_healthy(self) -> bool:
        """Whether the service's health check passes; for a service without one, whether it runs."""
        first = self._first_process()
        if first is None or not self.service.health:
            return first is not None
        inside = ["nsenter", "--target", str(first), "--mount", "--uts", "--net", "--pid"]
        test = f"{self._enter} {quoted(self.service.health)}"
        done = subprocess.run([*inside, "sh", "-c", test], capture_output=True, check=False, timeout=60)
        return done.returncode == 0

    def kill(self) -> float:
        """Kill process 1, and with it all processes of the container, as `docker kill` does; return the time."""
        if first := self._first_process():
            os.kill(first, signal.SIGKILL)
        self.process.kill()
        return time.time()

    def _first_process(self) -> int | None:
        """Process id, on this machine, of the container's process 1."""
        try:
            children = psutil.Process(self.process.pid).children()
        except psutil.NoSuchProcess:
            return None
        return int(children[0].pid) if children else None


class Containers:
    """The containers of all services, on this machine."""

    def __init__(self, folder: Path, services: dict[str, Service], image: dict[str, str]) -> None:
        self._folder = folder
        self._image = _IMAGE | image
        self._services = services
        self._family = Family(folder / "logs")
        self._stack = ExitStack()
        self._numbers = itertools.count(2)
        self._bridge = f"ld{os.getpid()}"
        self._addresses = {name: f"{_NETWORK}{next(self._numbers)}" for name in services}
        self._namespaces: dict[str, str] = {}
        self.running: dict[str, Container] = {}

    def __enter__(self) -> Containers:
        self._stack.enter_context(_bridge(self._bridge))
        return self

    def __exit__(self, *_: object) -> None:
        self._family.end()
        self._stack.close()

    def check(self) -> None:
        """Raise ProcessDiedError if a container has ended that no test ended."""
        self._family.check()

    def address(self, service: str) -> str:
        """The address of a service's first container."""
        return self._addresses[service]

    def up(self) -> None:
        """Start all services in the order of their dependencies, and wait until all are healthy."""
        waiting = dict(self._services)
        while waiting:
            ready = [s for s in waiting.values() if all(self._is(*other) for other in s.depends_on.items())]
            for service in ready:
                del waiting[service.name]
                for number in range(service.scale):
                    self.start(service.name, number + 1)
            self.check_started()
            time.sleep(0.5)
        for container in list(self.running.values()):
            self.wait_until_healthy(container)

    def check_started(self) -> None:
        """Like `check`, but a container may end with exit code 0."""
        for name, process in list(self._family.processes.items()):
            if process.exit_code == 0:
                del self._family.processes[name]
                self.running.pop(name, None)
        self.check()

    def start(self, service_name: str, number: int = 1) -> Container:
        """Start another container of a service, or again one that was killed; return it."""
        service = self._services[service_name]
        name = f"{service_name}-{number}"
        if name not in self._namespaces:
            address = self._addresses[service_name] if number == 1 else f"{_NETWORK}{next(self._numbers)}"
            namespace = self._stack.enter_context(_namespace(f"{self._bridge}-{name}", self._bridge, address))
            self._write_etc(namespace, service, name, address)
            self._namespaces[name] = namespace
        namespace = self._namespaces[name]
        inside = ["ip", "netns", "exec", namespace, "unshare", "--mount", "--uts", "--pid", "--fork"]
        script = self._script(service, name)
        process = self._family.start(name, [*inside, "--mount-proc", "sh", "-ec", script], {"PATH": os.environ["PATH"]})
        self.running[name] = Container(service, name, self._enter(service, name), process)
        return self.running[name]

    def _write_etc(self, namespace: str, service: Service, name: str, address: str) -> None:
        """Write the files that `ip netns exec` mounts over /etc: hosts, and the user that the entry point adds."""
        etc = Path("/etc/netns") / namespace
        names = {"127.0.0.1": "localhost", address: name} | {a: other for other, a in self._addresses.items()}
        (etc / "hosts").write_text("".join(f"{where} {who}\n" for where, who in names.items()))
        uid = service.user.partition(":")[0] or "0"
        users = Path("/etc/passwd").read_text()
        if f":x:{uid}:" not in users:
            users += f"airflow:x:{uid}:0::/opt/airflow:/bin/sh\n"
        (etc / "passwd").write_text(users)

    def wait_until_healthy(self, container: Container) -> None:
        """Wait for the time that the file allows, plus a minute."""
        end = time.monotonic() + container.service.patience + 60
        while not container.is_healthy():
            self.check()
            if time.monotonic() > end:
                raise TimeoutError(f"{container.name} is not healthy:\n{container.process.tail()}")
            time.sleep(1)

    def _is(self, name: str, condition: str) -> bool:
        if condition == "service_completed_successfully":
            return f"{name}-1" not in self.running and name in self._started
        container = self.running.get(f"{name}-1")
        return container is not None and container.is_healthy()

    @property
    def _started(self) -> set[str]:
        return {path.stem.rpartition("-")[0] for path in (self._folder / "logs").glob("*.log")}

    def _script(self, service: Service, name: str) -> str:
        """A shell script that sets up the container and then becomes the service's command."""
        lines = [f"hostname {name}", "mount -t tmpfs tmpfs /opt", "mkdir -p /opt/airflow", "chmod 775 /opt/airflow"]
        for volume in service.volumes:
            lines += self._mount(volume)
        lines.append(f"cd {shlex.quote(service.working_dir)}")
        if service.image.startswith("postgres"):
            lines += _postgres(service)
        else:
            lines.append(f"exec {self._enter(service, name)} {quoted(service.command)}")
        return "\n".join(lines)

    def _enter(self, service: Service, name: str) -> str:
        """The start of a command line: the file's user, and exactly the environment of the file and the image."""
        variables = {**self._image, "HOSTNAME": name, **service.environment}
        uid, _, gid = service.user.partition(":")
        user = f"setpriv --reuid={uid} --regid={gid} --clear-groups " if service.user else ""
        return f"{user}env -i {shlex.join(f'{key}={value}' for key, value in variables.items())}"

    def _mount(self, volume: Volume) -> Iterator[str]:
        if volume.source == "database":  # is in memory here
            return
        assert volume.target.startswith("/opt/"), volume  # any other mount would change this machine's own files
        source = Path(volume.source)
        if not source.is_absolute():  # a named volume: Docker gives it the owner that the folder has in the image
            source = self._folder / "volumes" / volume.source
            source.mkdir(parents=True, exist_ok=True)
            source.chmod(0o775)
        target = shlex.quote(volume.target)
        yield f"mkdir -p {target}"
        yield f"mount --bind {shlex.quote(str(source))} {target}"
        if volume.read_only:
            yield f"mount -o remount,bind,ro {target}"


def _postgres(service: Service) -> list[str]:
    """Do the work of the image's entry point with Debian's Postgres: user, password and database, all in memory."""
    wanted = {name: shlex.quote(value) for name, value in service.environment.items()}
    user = f"setpriv --reuid=postgres --regid=postgres --clear-groups {binaries()}"
    return [
        "mount -t tmpfs tmpfs /var/run/postgresql",
        "mkdir /opt/data",
        "chown postgres /opt/data /var/run/postgresql",
        f"echo {wanted['POSTGRES_PASSWORD']} > /opt/password",
        f"{user}/initdb --pgdata /opt/data --username {wanted['POSTGRES_USER']} --pwfile /opt/password"
        " --auth-local trust --auth-host scram-sha-256 --encoding UTF8",
        "echo 'host all all all scram-sha-256' >> /opt/data/pg_hba.conf",
        f"echo 'create database {wanted['POSTGRES_DB']}' | {user}/postgres --single -D /opt/data postgres",
        f"exec {user}/{quoted(service.command)} -D /opt/data -c listen_addresses='*' -c fsync=off",
    ]


@contextmanager
def _bridge(name: str) -> Iterator[None]:
    _remove_networks_of_killed_processes()
    _ip("link", "add", name, "type", "bridge")
    try:
        _ip("address", "add", f"{_NETWORK}1/24", "dev", name)
        _ip("link", "set", name, "up")
        yield
    finally:
        _ip("link", "delete", name)


def _remove_networks_of_killed_processes() -> None:
    """They have the same addresses, and would get this network's packets."""
    for link in Path("/sys/class/net").glob("ld*"):
        if not psutil.pid_exists(int(link.name.removeprefix("ld"))):
            for namespace in Path("/run/netns").glob(f"{link.name}-*"):
                _ip("netns", "delete", namespace.name)
                shutil.rmtree(Path("/etc/netns") / namespace.name, ignore_errors=True)
            _ip("link", "delete", link.name)


@contextmanager
def _namespace(name: str, bridge: str, address: str) -> Iterator[str]:
    """A network namespace, connected to the bridge."""
    hosts = Path("/etc/netns") / name
    _ip("netns", "add", name)
    try:
        hosts.mkdir(parents=True)
        cable = f"v{address.rpartition('.')[2]}{bridge}"
        _ip("link", "add", cable, "type", "veth", "peer", "name", "eth0", "netns", name)
        _ip("link", "set", cable, "master", bridge, "up")
        _ip("-n", name, "address", "add", f"{address}/24", "dev", "eth0")
        for device in ("lo", "eth0"):
            _ip("-n", name, "link", "set", device, "up")
        yield name
    finally:
        shutil.rmtree(hosts, ignore_errors=True)
        _ip("netns", "delete", name)


def _ip(*words: str) -> None:
    subprocess.run([str(shutil.which("ip")), *words], check=True, capture_output=True)


assert not PROJECT.is_relative_to("/opt"), "the checkout must not be under /opt: containers mount a file system over it"
