"""The Kafka of the tests leaves nothing behind, and says what it lacks."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from onefold.errors import SettingsError
from onefold.testing.servers.kafka import KafkaCluster
from tests.services.kafka_logs import until

pytestmark = pytest.mark.services
STARTER = """
import sys, time
from onefold.testing.servers.kafka import KafkaCluster
with KafkaCluster() as cluster:
    print(*cluster.pids, cluster.directory(0), flush=True)
    time.sleep(600)
"""


def test_brokers_end_with_who_started_them() -> None:
    """A process that was killed, and so stopped nothing, leaves neither a broker nor its data."""
    starter = subprocess.Popen([sys.executable, "-c", STARTER], stdout=subprocess.PIPE, text=True)
    assert starter.stdout is not None
    pid, directory = starter.stdout.readline().split()
    scratch = Path(directory).parents[1]
    assert Path(f"/proc/{pid}").exists()
    assert scratch.name.startswith("onefold-kafka-")
    starter.send_signal(signal.SIGKILL)
    starter.communicate()
    until(lambda: not Path(f"/proc/{pid}").exists() and not scratch.exists())


def test_without_java_it_says_so() -> None:
    """The message names what to install."""
    code = "from onefold.testing.servers.kafka import KafkaCluster; KafkaCluster().start()"
    environ = {**os.environ, "PATH": "/nonexistent"}
    done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=False)
    assert f"{SettingsError.__name__}: a Java 17 runtime (`java`)" in done.stderr


def test_a_stopped_cluster_has_no_process_and_no_data(kafka: KafkaCluster) -> None:
    """Stopping ends the processes at once and removes the directory; stopping again does nothing."""
    assert kafka.pids
    own = KafkaCluster().start()
    directory, (pid,) = own.directory(0), own.pids
    for _ in range(2):
        own.stop()
        assert not directory.exists()
        assert not Path(f"/proc/{pid}").exists()
