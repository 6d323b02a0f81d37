"""What a member's assignment says, as members of a group write it."""

import struct
from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from onefold.storage.kafka.orphans import assigned

PARTITIONS = st.lists(st.integers(0, 1 << 20), max_size=9)


def written(topic: str, partitions: list[int], user_data: bytes) -> bytes:
    """As the protocol of consumers has it: version, topics, and what the assignor adds for itself."""
    name, count = topic.encode(), len(partitions)
    topics = struct.pack(f">hih{len(name)}si{count}i", 3, 1, len(name), name, count, *partitions)
    return topics + struct.pack(f">i{len(user_data)}s", len(user_data), user_data)


@given(st.text(max_size=40), PARTITIONS, st.binary(max_size=20))
def test_partitions_are_read(topic: str, partitions: list[int], user_data: bytes) -> None:
    """Whatever the topic is called, and whatever comes behind."""
    assert assigned(written(topic, partitions, user_data)) == tuple(partitions)


def test_who_has_none_says_so() -> None:
    """By no topic, or by nothing at all, as long as it was told nothing yet."""
    assert assigned(b"") == assigned(struct.pack(">hii", 0, 0, -1)) == ()


@given(st.binary(max_size=64))
def test_what_is_none_is_refused(data: bytes) -> None:
    """Any bytes give partitions, or `struct.error`."""
    with suppress(struct.error):
        assigned(data)
