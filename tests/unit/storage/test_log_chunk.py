"""A chunk passes only whole, and only where it belongs."""

import pytest

from onefold.errors import Damaged, StorageError, TooNew
from onefold.limits import RECORD_MAX_BYTES
from onefold.storage import log_chunk
from onefold.storage.log_chunk import Header

RECORDS = [b"one", b"", b"three"]
CHUNK = log_chunk.encode(3, Header(77, 3, 1_000), RECORDS)


def test_every_flipped_bit_is_found() -> None:
    """There is no bit in a chunk, header included, whose change goes unnoticed."""
    for bit in range(len(CHUNK) * 8):
        changed = bytearray(CHUNK)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(Damaged):
            log_chunk.decode(3, 77, bytes(changed))


def test_every_shorter_chunk_is_found() -> None:
    """A chunk that ends early is damage at any length, also none."""
    for length in range(len(CHUNK)):
        with pytest.raises(Damaged):
            log_chunk.decode(3, 77, CHUNK[:length])


@pytest.mark.parametrize(("partition", "offset"), [(2, 77), (3, 78)])
def test_a_chunk_elsewhere_does_not_pass(partition: int, offset: int) -> None:
    """A whole chunk under another offset, or in another partition, is damage."""
    with pytest.raises(Damaged):
        log_chunk.decode(partition, offset, CHUNK)


def test_a_chunk_of_a_newer_format_is_refused() -> None:
    """What we cannot read is named as such, not as damage."""
    newer = bytearray(CHUNK)
    newer[8] = log_chunk.VERSION + 1
    with pytest.raises(TooNew):
        log_chunk.peek(3, 77, bytes(newer))


def test_a_record_that_is_too_long_is_refused() -> None:
    """The bound holds before anything is written."""
    with pytest.raises(StorageError, match=f"at most {RECORD_MAX_BYTES}"):
        list(log_chunk.split([b"a", bytes(RECORD_MAX_BYTES + 1)]))


def test_the_layout_is_what_it_was() -> None:
    """Files of older versions stay readable: the bytes of a chunk are fixed."""
    assert CHUNK.hex() == (
        "af97cb2ce5e30b49" + "0100" + "0300" + "03000000" + "4d00000000000000" + "e803000000000000"
        + "03000000" + "00000000" + "05000000" + "6f6e65" + "7468726565"
    )  # fmt: skip
