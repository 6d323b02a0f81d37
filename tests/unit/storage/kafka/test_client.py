"""What can be said of a log on Kafka without a broker."""

import subprocess
import sys

import confluent_kafka
import pytest

from onefold.errors import SettingsError, Unavailable
from onefold.storage.kafka.client import KafkaOptions, Link

_DESTROY_BROKER = -137

WITHOUT = """
import sys
sys.modules["confluent_kafka"] = None
from onefold.storage.kafka.log import KafkaOptions, partitions_of
import onefold.storage.kafka.group
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


def test_a_broker_that_was_let_go_of_may_come_back() -> None:
    """Librdkafka forgets a broker that went away while it was asked; asking again helps, and no role has to end."""
    error = confluent_kafka.KafkaError(_DESTROY_BROKER)
    assert isinstance(Link(KafkaOptions("localhost:9092")).error(error, "say where the log ends"), Unavailable)
