"""What can be said of a log on Kafka without a broker."""

import subprocess
import sys

import pytest

from onefold.errors import SettingsError
from onefold.storage.log_kafka_client import KafkaOptions

WITHOUT = """
import sys
sys.modules["confluent_kafka"] = None
from onefold.storage.log_kafka import KafkaOptions, partitions_of
import onefold.storage.log_kafka_group
partitions_of(KafkaOptions("localhost:9092"))
"""


def test_a_workspace_names_its_topic() -> None:
    """The topic is the workspace's own; what no topic may be called is refused."""
    assert KafkaOptions("localhost:9092", "shop_1").topic == "onefold.shop_1"
    for name in ("", "a b", "a/b", "ä", "x" * 250):
        with pytest.raises(SettingsError, match="cannot name a Kafka topic"):
            KafkaOptions("localhost:9092", name)


def test_without_the_extra_its_command_is_told() -> None:
    """The modules can be imported without the client library, and whoever needs it learns how to install it."""
    done = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, text=True, check=False)
    assert "SettingsError: a log on Kafka needs confluent-kafka: pip install 'onefold[kafka]'" in done.stderr
