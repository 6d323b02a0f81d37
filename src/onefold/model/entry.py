"""What the log holds: entries, one a record, as JSON that carries the events just as they came.

Time enters the platform here and nowhere else: every entry says when it was written. The time of a
partition is the largest that its entries have said so far.
"""

from typing import Any

import msgspec
from msgspec import Raw, Struct

from onefold.model.account import AccountPast
from onefold.model.event import Event
from onefold.model.rules import Rules


class Rejected(Struct, omit_defaults=True):
    """An event that was refused on arrival; the step puts it into quarantine and counts it."""

    index: int
    reason: str
    body: str
    """The event as it came, as text; bytes that are not UTF-8 are escaped as \\xNN."""


class Received(Struct, tag="received", tag_field="kind", omit_defaults=True):
    """Events of one request that belong to one partition. `sent_at_ms` is the request's own claim."""

    source: str
    at_ms: int
    events: list[Any]
    """`Event`s, or where the step reads them `Excerpt`s."""
    sent_at_ms: int | None = None
    rejected: list[Rejected] = []


class Whole(Received, tag="received", tag_field="kind", kw_only=True):
    """`Received` with all that the spec names of its events."""

    events: list[Event]


class Outgoing(Struct, tag="received", tag_field="kind", omit_defaults=True):
    """`Received` as collect writes it: the events' own bytes, neither decoded nor encoded again."""

    source: str
    at_ms: int
    events: list[Raw]
    sent_at_ms: int | None = None
    rejected: list[Rejected] = []


class Tick(Struct, tag="tick", tag_field="kind"):
    """Time has come this far: due timers of profiles at home in this partition fire, at most TICK_MAX_TIMERS."""

    at_ms: int


class Defined(Struct, tag="defined", tag_field="kind"):
    """From here on these definitions are in force (`Definitions` as plain JSON)."""

    at_ms: int
    version: int
    definitions: dict[str, Any]


class Ruled(Struct, tag="ruled", tag_field="kind"):
    """From here on these rules are in force."""

    at_ms: int
    rules: Rules


MATCHED = "matched"
"""How the rule begins by which two are one person who are alike in what is known of them."""


class Matched(Struct, omit_defaults=True):
    """Why two profiles were linked without anybody's word: they are alike in what is known of them."""

    score: float
    """How probable it is that they are one person, 0 to 1."""
    model: str
    """By which weights (`matching.weights.version_of`)."""

    @property
    def rule(self) -> str:
        """The rule of the link, which keeps how sure it was for whoever asks why."""
        return f"{MATCHED}:{self.score:.4f}:{self.model}"


class Linked(Struct, tag="linked", tag_field="kind", omit_defaults=True):
    """Somebody has said of two identifiers that they are one person's, or `never` are; or matching is sure of it.

    Nothing where nobody has one of them.
    """

    at_ms: int
    a: str
    b: str
    by: str
    never: bool = False
    matched: Matched | None = None
    """None: it is somebody's word, which counts for more than the rules; what matching says does not."""


class Sweep(Struct, tag="sweep", tag_field="kind"):
    """Judge again, under the definitions in force, up to SWEEP_MAX_PROFILES profiles at home here with id > `after`."""

    at_ms: int
    after: int


class Backfilled(Struct, tag="backfilled", tag_field="kind", omit_defaults=True):
    """What happened before definitions of this version were in force, for profiles at home here by their first id.

    Entries follow one another from id to id; one that does not begin where the partition is, has come twice.
    """

    at_ms: int
    version: int
    after: int
    upto: int
    """Profiles with `after` < id <= `upto`."""
    states: bytes
    """`States` as MessagePack."""
    accounts: bytes = b""
    """`AccountPasts` as MessagePack: what these profiles' events add to accounts. Empty: nothing."""


class Recast(Struct, tag="recast", tag_field="kind", omit_defaults=True):
    """People taken apart or put together, because somebody has said so: who goes, and who comes instead.

    Nothing where one of those who go is not as it was read: then it is to be computed and written again.
    """

    at_ms: int
    by: str
    why: str
    """What was asked for, such as `unmerge link user_id:1 anonymous_id:a`, and the reason that was given."""
    body: bytes
    """`model.recast.Recasting` as MessagePack."""


States = dict[int, dict[str, Any]]
"""Profile id, as it was when the events came → slot → state of the aggregate over them."""

AccountPasts = dict[str, AccountPast]
"""Identifier of an account → what is added to it."""

PROFILE_ID_MAX = (1 << 64) - 1
WITH_EVENTS = b'{"kind":"received"'
"""What the record of every entry with events begins with; those of others do not."""

Entry = Received | Tick | Defined | Ruled | Linked | Sweep | Backfilled | Recast

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Whole | Tick | Defined | Ruled | Linked | Sweep | Backfilled | Recast)
_states_encoder = msgspec.msgpack.Encoder()
_states_decoder = msgspec.msgpack.Decoder(States)
_accounts_decoder = msgspec.msgpack.Decoder(AccountPasts)

encode = _encoder.encode
"""An entry (or `Outgoing`) as the bytes of one record."""

decode = _decoder.decode
"""The entry in a record's bytes. Raises `msgspec.MsgspecError` where they are none."""

encode_states = _states_encoder.encode
"""`Backfilled.states`."""

encode_accounts = _states_encoder.encode
"""`Backfilled.accounts`."""

decode_accounts = _accounts_decoder.decode
"""What `encode_accounts` was given."""

decode_states = _states_decoder.decode
"""What `encode_states` was given."""
