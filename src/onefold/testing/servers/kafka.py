"""A real Apache Kafka cluster on this machine: one broker or three, which can be killed, paused and started again.

The jars come from Maven Central once, into `$XDG_CACHE_HOME/onefold` or `~/.cache/onefold`; later starts use no
network. A broker is a plain `java` process with a small heap. What makes it quick to start: its classes come from an
archive that the first start on a machine leaves in the cache (JEP 350), and no tool formats its directory, since a
broker takes an empty one whose `meta.properties` names the cluster.
"""

import fcntl
import hashlib
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple, Self

from onefold.errors import SettingsError, Unavailable

if TYPE_CHECKING:
    from onefold.testing.servers.kafka_security import Security

START_WITHIN_S = 60.0
"""A broker that does not answer by then will not; on an idle machine it takes about a second and a half."""
_POM = Path(__file__).with_name("kafka_pom.xml")
_CLUSTER = "b25lZm9sZC1rYWZrYS0wMQ"
_PORTS = range(20_000, 32_000)
"""Below those that the system gives to outgoing connections, so that a broker finds its port free again."""
_PROTOCOLS = ("PLAINTEXT:PLAINTEXT", "SSL:SSL", "SASL_SSL:SASL_SSL")
"""Listeners are called as what they speak."""
_POLL_S = 0.01
_LOG_LINES = 20
_GUARD = """
read -r _
kill -KILL "$1"
while kill -0 "$1"; do sleep 0.05; done
rm -rf "$2"
rmdir "$(dirname "$2")"
"""
"""Waits for the end of who started a broker, then ends the broker, its data, and the scratch when the last is gone."""


class Jvm(NamedTuple):
    """How a broker's Java machine is run."""

    heap: str = "384m"
    quick: bool = True
    """Only the first compiler: sooner started, slower when warm. False to measure a broker."""


class KafkaCluster:
    """`brokers` combined brokers and controllers, numbered from 0. A context manager; not to be shared by threads."""

    def __init__(self, brokers: int = 1, jvm: Jvm = Jvm(), security: "Security | None" = None) -> None:  # noqa: B008 - a value
        """Only remembers what is wanted; `start` raises `SettingsError` where Java or Maven is missing."""
        assert brokers in {1, 3}
        self._jvm = jvm
        self._security = security
        self._scratch: tempfile.TemporaryDirectory[str] | None = None
        self._brokers: list[_Broker] = []
        self._count = brokers

    @property
    def bootstrap(self) -> str:
        """The brokers' addresses, as a client takes them."""
        return ",".join(f"127.0.0.1:{broker.port}" for broker in self._brokers)

    def secured(self, listener: str, host: str = "localhost") -> str:
        """The brokers' addresses where they speak SASL_SSL or SSL, which a cluster without `security` does not."""
        return ",".join(f"{host}:{broker.secured[listener]}" for broker in self._brokers)

    @property
    def pids(self) -> list[int]:
        """The process of each broker that runs."""
        return [broker.pid for broker in self._brokers if broker.pid]

    def directory(self, n: int) -> Path:
        """Where broker `n` has its partitions, each a folder `<topic>-<partition>`."""
        return self._brokers[n].directory

    def start(self) -> Self:
        """Start all brokers and return when each serves. Raises `Unavailable` with the log of one that fails."""
        home = _home()
        self._scratch = tempfile.TemporaryDirectory(prefix="onefold-kafka-")
        listeners = self._security.listeners if self._security else ()
        ports = _free_ports((2 + len(listeners)) * self._count)
        voters = ",".join(f"{n}@127.0.0.1:{port}" for n, port in enumerate(ports[self._count : 2 * self._count]))
        for n in range(self._count):
            directory = Path(self._scratch.name) / str(n)
            broker = _Broker(n, directory, (ports[n], ports[self._count + n]), home, self._jvm)
            broker.secured = dict(zip(listeners, ports[2 * self._count + n :: self._count], strict=True))
            broker.make(voters, self._count, self._security.settings() if self._security else {})
            self._brokers.append(broker)
        try:
            for broker in self._brokers:
                broker.launch()
            self._until_served()
            if self._security:
                self._security.admit(self.bootstrap)
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """End all brokers and remove their data. May be called twice."""
        for broker in self._brokers:
            broker.kill()
        self._brokers = []
        if self._scratch is not None:
            self._scratch.cleanup()
            self._scratch = None

    def kill(self, n: int) -> None:
        """`kill -9` broker `n`: what it had not fsynced is still in the system's page cache."""
        self._brokers[n].kill()

    def restart(self, n: int) -> None:
        """Start broker `n` again, after `kill`, on its data and its port; returns when it serves."""
        self._brokers[n].launch()
        self._until_served()

    def mend(self) -> None:
        """Start every broker that was killed, and let every one go on that was paused."""
        for broker in self._brokers:
            if broker.pid:
                os.kill(broker.pid, signal.SIGCONT)
            else:
                broker.launch()
        self._until_served()

    def pause(self, n: int) -> None:
        """Stop broker `n` as a machine that hangs: connections stay open, and nothing answers."""
        os.kill(self._brokers[n].pid, signal.SIGSTOP)

    def resume(self, n: int) -> None:
        """Let broker `n` go on."""
        os.kill(self._brokers[n].pid, signal.SIGCONT)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _until_served(self) -> None:
        """A broker listens once the controllers let it serve, so one that can be connected to is ready."""
        deadline_s = time.monotonic() + START_WITHIN_S
        for broker in self._brokers:
            while broker.pid and not broker.listens():
                if time.monotonic() > deadline_s:
                    raise Unavailable(f"Kafka broker {broker.number} did not start: {broker.said()}")
                time.sleep(_POLL_S)


class _Broker:
    """One process, its directory and its ports: (for clients, for controllers)."""

    def __init__(self, number: int, directory: Path, ports: tuple[int, int], home: Path, jvm: Jvm) -> None:
        self.number = number
        self.directory = directory / "data"
        self.port, self._controller_port = ports
        self.secured: dict[str, int] = {}
        """Listener → its port, where TLS is spoken."""
        self._settings = directory / "server.properties"
        self._log = directory / "log"
        self._home = home
        self._jvm = jvm
        self._process: subprocess.Popen[bytes] | None = None
        self._guard: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process; 0 while there is none."""
        return self._process.pid if self._process else 0

    def make(self, voters: str, brokers: int, further: Mapping[str, object] = MappingProxyType({})) -> None:
        """Write what the process starts from."""
        self.directory.mkdir(parents=True)
        (self.directory / "meta.properties").write_text(f"version=1\ncluster.id={_CLUSTER}\nnode.id={self.number}\n")
        advertised = [
            f"PLAINTEXT://127.0.0.1:{self.port}",
            *(f"{listener}://localhost:{port}" for listener, port in self.secured.items()),
        ]
        bound = [*advertised, f"CONTROLLER://127.0.0.1:{self._controller_port}"]
        settings = {
            "process.roles": "broker,controller",
            "node.id": self.number,
            "controller.quorum.voters": voters,
            "controller.listener.names": "CONTROLLER",
            "listeners": ",".join(bound).replace("localhost", "127.0.0.1"),
            "advertised.listeners": ",".join(advertised),
            "listener.security.protocol.map": ",".join(["CONTROLLER:PLAINTEXT", *_PROTOCOLS]),
            "log.dirs": self.directory,
            "auto.create.topics.enable": "false",
            # Groups' own topic: few partitions start sooner.
            "offsets.topic.num.partitions": 3,
            "offsets.topic.replication.factor": brokers,
            "group.initial.rebalance.delay.ms": 0,
            # A killed broker is found dead after 2 s in place of 9, and may be back only then.
            "broker.session.timeout.ms": 2_000,
            "broker.heartbeat.interval.ms": 400,
            **further,
        }
        self._settings.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))

    def launch(self) -> None:
        """Start the process, with another that ends and removes it should ours end without having done so.

        Both in sessions of their own, so that Ctrl-C on a terminal is for us alone.
        """
        command = _command(self._home, self._jvm, self._settings)
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - ours
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        guard = ["/bin/sh", "-c", _GUARD, "guard", str(self.pid), str(self.directory.parent)]
        quiet = subprocess.DEVNULL
        self._guard = subprocess.Popen(  # noqa: S603 - ours
            guard, stdin=subprocess.PIPE, stdout=quiet, stderr=quiet, start_new_session=True
        )

    def listens(self) -> bool:
        """Whether it takes connections. Raises `Unavailable` where the process has ended."""
        if self._process is not None and self._process.poll() is not None:
            raise Unavailable(f"Kafka broker {self.number} ended: {self.said()}")
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False

    def kill(self) -> None:
        """End it at once, if it runs."""
        if self._guard is not None:
            self._guard.kill()
            self._guard.communicate()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._process = self._guard = None

    def said(self) -> str:
        """The end of its log."""
        return "\n".join(["", *self._log.read_text(errors="replace").splitlines()[-_LOG_LINES:]])


def _command(home: Path, jvm: Jvm, settings: Path, *options: str) -> list[str]:
    return [
        _program("java"),
        f"-Xmx{jvm.heap}",
        "-XX:+UseSerialGC",
        *(["-XX:TieredStopAtLevel=1"] if jvm.quick else []),
        f"-XX:SharedArchiveFile={home / 'classes.jsa'}",
        *options,
        "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
        "-cp",
        ":".join(map(str, sorted((home / "jars").glob("*.jar")))),
        "kafka.Kafka",
        str(settings),
    ]


def _home() -> Path:
    """The cache directory of the release in `kafka_pom.xml`, filled where it is not yet."""
    _program("java")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "onefold"
    home = cache / f"kafka-{hashlib.sha256(_POM.read_bytes()).hexdigest()[:12]}"
    if not (home / "classes.jsa").exists():
        cache.mkdir(parents=True, exist_ok=True)
        with _locked(cache / ".lock"):
            _fill(home)
    return home


def _fill(home: Path) -> None:
    """Make what is missing of it; each part gets its name when it is whole."""
    if not (home / "jars").exists():
        home.mkdir(exist_ok=True)
        draft = home / "jars.new"
        shutil.rmtree(draft, ignore_errors=True)
        _fetch(draft)
        draft.rename(home / "jars")
    if not (home / "classes.jsa").exists():
        _archive(home)


def _fetch(directory: Path) -> None:
    copy = ["dependency:copy-dependencies", f"-DoutputDirectory={directory}", "-DincludeScope=runtime"]
    done = subprocess.run(  # noqa: S603 - ours
        [_program("mvn"), "--batch-mode", "--quiet", "--file", str(_POM), *copy],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise Unavailable(f"Maven could not fetch the Kafka broker:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")


def _archive(home: Path) -> None:
    """Let a broker start and end once, and keep the classes that it loaded."""
    draft = home / "classes.new"
    with tempfile.TemporaryDirectory(prefix="onefold-kafka-") as scratch:
        ports = _free_ports(2)
        broker = _Broker(0, Path(scratch), (ports[0], ports[1]), home, Jvm())
        broker.make(f"0@127.0.0.1:{ports[1]}", 1)
        command = _command(home, Jvm(), Path(scratch) / "server.properties", f"-XX:ArchiveClassesAtExit={draft}")
        command.remove(f"-XX:SharedArchiveFile={home / 'classes.jsa'}")
        quiet = subprocess.DEVNULL
        process = subprocess.Popen(command, stdout=quiet, stderr=quiet)  # noqa: S603 - ours
        deadline_s = time.monotonic() + START_WITHIN_S
        while process.poll() is None and not broker.listens() and time.monotonic() < deadline_s:
            time.sleep(_POLL_S)
        process.terminate()
        process.wait(START_WITHIN_S)
    # Another Java may make none: its brokers start all the same, if later. An empty file would say so at every start.
    if draft.exists():
        draft.rename(home / "classes.jsa")


def _program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        what = {"java": "a Java 17 runtime (`java`) runs", "mvn": "Maven (`mvn`) fetches"}[name]
        raise SettingsError(f"{what} the Kafka broker of the tests, and there is none on the PATH: install it")
    return found


def _free_ports(count: int) -> list[int]:
    found: list[int] = []
    for port in random.sample(_PORTS, len(_PORTS)):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            found.append(port)
        if len(found) == count:
            return found
    raise Unavailable(f"127.0.0.1 has no {count} free ports")


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    with file.open("wb") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
