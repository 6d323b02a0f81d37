"""Facts that a step produces: the only way out of the core.

Each effect knows its place in the log. `key(partition, effect)` is the same under every replay, so it serves as
the idempotency key of every delivery.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, Union, get_args

import msgspec
from msgspec import Struct


class Effect(Struct, array_like=True, gc=False):
    """What every effect has. `n` numbers the effects that one event, timer or sweep produced."""

    profile: int
    position: int
    n: int
    at_ms: int


class Admitted(Effect, array_like=True, gc=False, tag="admitted"):
    """An event became part of a profile; its body is in the log at `position`."""

    name: str
    """The track event's name, or `page`, `identify`, … for the others."""


class Created(Effect, array_like=True, gc=False, tag="created"):
    """A profile came to be, by the event at `position`."""


class Merged(Effect, array_like=True, gc=False, tag="merged"):
    """`absorbed` became part of `profile`, because `a` and `b` are one person."""

    absorbed: int
    a: str
    b: str
    rule: str


class Split(Effect, array_like=True, gc=False, tag="split"):
    """`profile` is a person of its own from here on, with `identifiers`, and was a part of `former` until now."""

    former: int
    identifiers: list[str]


class Recast(Effect, array_like=True, gc=False, tag="recast"):
    """People were taken apart or put together because `by` said so, for the reason `why`; `profile` is one of them.

    Not `applied`: one of them was not as they had been read any more, so nothing was done.
    """

    by: str
    why: str
    applied: bool


class LinkRefused(Effect, array_like=True, gc=False, tag="link_refused"):
    """`a` and `b` came together in one event, but a rule forbids that they be one person."""

    a: str
    b: str
    rule: str


class Moved(Effect, array_like=True, gc=False, tag="moved"):
    """`identifier` leads to `profile` from here on, and to `former` no longer, whose past stays its own."""

    former: int
    identifier: str
    rule: str


class Hot(Effect, array_like=True, gc=False, tag="hot"):
    """`identifier`, which leads to `profile`, has come with so many others that it joins nobody any more."""

    identifier: str
    others: int


class Changed(Effect, array_like=True, gc=False, tag="changed"):
    """Traits took new values; None: the trait has no value any more."""

    traits: dict[str, Any]


class Entered(Effect, array_like=True, gc=False, tag="entered"):
    """The profile entered an audience."""

    audience: str


class Left(Effect, array_like=True, gc=False, tag="left"):
    """The profile left an audience. `reason`: `event`, `time`, `merge`, `definition`, `account` or `split`."""

    audience: str
    reason: str


class Hushed(Effect, array_like=True, gc=False, tag="hushed"):
    """The profile entered an audience or left it, and nobody outside is told (`Definitions.quiet`): history keeps it.

    Its `n` is that of the next effect that is told, so that no key depends on what is not.
    """

    audience: str
    entered: bool


class RejectedEvent(Effect, array_like=True, gc=False, tag="rejected"):
    """An event went into quarantine; `profile` is 0."""

    source: str
    reason: str


AnyEffect = (
    Admitted
    | Created
    | Merged
    | Split
    | Recast
    | LinkRefused
    | Moved
    | Hot
    | Changed
    | Entered
    | Left
    | Hushed
    | RejectedEvent
)


class Skipped(Struct, array_like=True, gc=False):
    """Stands where an effect was that nobody wanted to have decoded."""


_DECODERS_MAX = 256
"""As many as there are sets of kinds."""


def _as_kept(effects: Any) -> msgspec.Raw:
    return msgspec.Raw(effects.encoded())


_encoder = msgspec.msgpack.Encoder(enc_hook=_as_kept)
_decoder = msgspec.msgpack.Decoder(list[AnyEffect])

encode = _encoder.encode
"""The effects of one batch as the state keeps them. Those that the kernel has gathered are so already."""
encode_one: Callable[[AnyEffect], bytes] = _encoder.encode
"""One of them, as it is among these."""

decode = _decoder.decode
"""The effects in these bytes."""


def count(encoded: bytes) -> int:
    """How many effects are in these bytes, which are not decoded: MessagePack says it first."""
    first = encoded[0]
    if first < 0xDC:
        return first & 0x0F
    return int.from_bytes(encoded[1 : 3 if first == 0xDC else 5])


def first(encoded: bytes) -> Effect:
    """What every effect has, of the first of these, of which there are some; nothing behind it is read."""
    at = 1 if encoded[0] < 0xDC else 3 if encoded[0] == 0xDC else 5
    at += 2 + (encoded[at + 1] & 0x1F)
    values = []
    for _ in Effect.__struct_fields__:
        value, at = _natural(encoded, at)
        values.append(value)
    return Effect(*values)


def _natural(encoded: bytes, at: int) -> tuple[int, int]:
    """The number that begins here, in MessagePack, and where it ends."""
    kind = encoded[at]
    if kind < 0x80:
        return kind, at + 1
    end = at + 1 + (1 << (kind - 0xCC))
    return int.from_bytes(encoded[at + 1 : end]), end


@lru_cache(_DECODERS_MAX)
def decoder(kinds: frozenset[type[AnyEffect]]) -> Callable[[bytes], list[AnyEffect | Skipped]]:
    """Decodes the effects of these kinds only; all others are `Skipped`, at about a fifth of the cost."""
    parts: Any = tuple(kind if kind in kinds else _skipped(kind) for kind in get_args(AnyEffect))
    return msgspec.msgpack.Decoder(list[Union[parts]]).decode  # noqa: UP007 - of how many, is known at run time


def _skipped(kind: type[AnyEffect]) -> type[Struct]:
    tag = kind.__struct_config__.tag
    return msgspec.defstruct("Skipped", [], bases=(Skipped,), tag=tag, array_like=True, gc=False)


def key(partition: int, effect: Effect) -> str:
    """The effect's name for ever: the idempotency key of whatever is sent because of it."""
    return f"{partition:02x}-{effect.position:x}-{effect.n:x}"
