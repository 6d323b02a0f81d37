"""A recast: people taken apart or put together, computed outside the step and brought into it by one entry of the log.

The entry holds the result, whole, so that folding the log again needs neither history nor another computation.
"""

import msgspec
import xxhash
from msgspec import Struct


class Recasting(Struct, array_like=True):
    """What an entry `Recast` brings."""

    going: dict[int, bytes]
    """Profile that goes → `stamp` of it as it was read: where it is another by now, nothing of this is done."""
    coming: list[bytes]
    """The profiles that come instead, as the state keeps them (`profile.encode`); an id may be one of those that go."""
    absorbed: dict[int, int]
    """Every id by which one of those that go was ever known, and that is nobody's own any more → who that is now."""
    events: dict[int, dict[int, list[int]]] = {}
    """Profile → whose events were until now → places (`partition << 56 | position`) of those that are its own from now
    on, where that is not told already by `absorbed`."""
    relations: dict[str, dict[int, int]] = {}
    """Relation between people and accounts, or people with hot identifiers → who of those who come is in it, and since
    when."""
    reached: dict[int, int] = {}
    """Partition → how far it was folded when those who go were read: they are not as they were read before that.

    Empty where there is one partition. So a log of several makes the same people whenever it is folded again: an
    entry that waits for what it was made of is not found stale there."""


_RERESOLVED = "reresolve under version "


def reresolve_under(version: int) -> str:
    """Why people are recast whose past is brought under the rules of this version."""
    return f"{_RERESOLVED}{version}"


def reresolved_under(why: str) -> int:
    """That version; 0: it was for something else."""
    number = why.removeprefix(_RERESOLVED)
    return int(number) if number != why and number.isdecimal() else 0


def stamp(profile: bytes) -> bytes:
    """Sixteen bytes that tell a stored profile from what it was before and will be later."""
    return xxhash.xxh3_128_digest(profile)


_encoder = msgspec.msgpack.Encoder()
_FIELDS = len(Recasting.__struct_fields__)
assert _FIELDS < 16


def encode(body: Recasting) -> bytes:
    """A `Recasting` as the entry keeps it: of one partition just as before there was `reached`."""
    encoded = _encoder.encode(body)
    return encoded if body.reached else bytes([0x90 | _FIELDS - 1]) + encoded[1:-1]


decode = msgspec.msgpack.Decoder(Recasting).decode
"""What `encode` was given. Raises `msgspec.MsgspecError`."""
