"""What a state keeps as bytes, alike in every engine, and what it is bounded by.

Numbers in keys are big-endian, so that the order of bytes is their order.
"""

import struct
from typing import Any

import msgspec

from onefold.limits import DEDUPE_WINDOW_MAX_MS, DEDUPE_WINDOW_MS
from onefold.model.changes import Cursor
from onefold.model.quarantined import Quarantined

GENERATIONS_MAX = 32
"""Generations of messages alive at once; a partition that lags further than these loses its oldest."""
assert DEDUPE_WINDOW_MAX_MS <= (GENERATIONS_MAX - 2) * DEDUPE_WINDOW_MS  # the default span of a generation

U64 = struct.Struct(">Q")
TIMER = struct.Struct(">BQQ")
"""Partition, due, profile id."""
PLACE = struct.Struct(">BQ")
"""Partition, position."""
COUNT = struct.Struct(">q")
U64_MAX = (1 << 64) - 1


def _as_kept(gathered: Any) -> msgspec.Raw:
    return msgspec.Raw(gathered.encoded())


_encoder = msgspec.msgpack.Encoder(enc_hook=_as_kept)
encode = _encoder.encode
"""As msgpack. What the kernel has gathered is so already."""
decode_cursor = msgspec.msgpack.Decoder(Cursor).decode
decode_quarantined = msgspec.msgpack.Decoder(Quarantined).decode
