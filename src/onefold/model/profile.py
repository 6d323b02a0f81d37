"""All that is known of one person, and how it is written into the state."""

from typing import Any, NamedTuple, get_type_hints

import msgspec
from msgspec import Struct

from onefold.limits import NEVER_MS, RECENT_EVENTS_MAX

JUDGE_ANEW_MS = 0
"""The `due_ms` of a profile of which something is left of definitions older than those that it was swept under."""


class Declared(NamedTuple):
    """A trait's value as an event said it, with that event's time; the latest time wins."""

    value: Any
    at_ms: int
    tie: bytes
    """Decides between equal times: the message's fingerprint, so that the order of arrival does not matter."""
    place: int = -1
    """That event's, as `partition << 56 | position`; -1: it was folded before places were kept."""


class Link(NamedTuple):
    """Evidence that two identifiers are the same person: the event, the rule, the time."""

    a: str
    b: str
    partition: int
    position: int
    rule: str
    at_ms: int


class Merge(NamedTuple):
    """Another profile became part of this one, by the link at this place in the log."""

    absorbed: int
    partition: int
    position: int
    at_ms: int


class Word(NamedTuple):
    """What somebody has said of two identifiers, and where in the log."""

    at_ms: int
    partition: int
    position: int
    a: str
    b: str
    by: str
    never: bool
    """They are never one person's; else they are."""

    @property
    def at(self) -> tuple[int, int, int]:
        """Log time, partition, position."""
        return self[:3]


class Undone(NamedTuple):
    """Somebody has had links of this person's undone, there in the log; who, and why."""

    at_ms: int
    partition: int
    position: int
    by: str
    why: str


class Notes(Struct, omit_defaults=True):
    """What only the rules of identity ask of a profile (`model.identity`); most profiles have none of it."""

    seen: dict[str, int] = {}
    """Identifiers that came with this person's events and lead to somebody else, or to nobody → when last."""
    former: dict[str, int] = {}
    """Identifiers that lead here and have lost what tied them to this person → since when."""
    hot: dict[str, int] = {}
    """Identifiers that have joined too many, and join nobody any more → since when."""
    met: dict[str, int] = {}
    """Identifiers of this person → how many people have seen them without having them."""
    never: list[str] = []
    """Identifiers that must never be this person's, because somebody has said so."""
    full: dict[str, int] = {}
    """Limits that have kept something out → when last."""
    ties: dict[str, dict[str, int]] = {}
    """Identifier → another of lower priority → when an event had both last; where the newest link wins."""
    apart: dict[str, list[str]] = {}
    """Identifier of this person → others that no event which has both ties to it, since a link was undone."""
    loose: list[str] = []
    """Identifiers of this person that join nobody, since somebody has undone all that they had joined."""
    parts: dict[str, dict[str, Declared]] = {}
    """Trait → whose word → what it said last; of traits of which more than the newest value counts."""
    undone: list[Undone] = []
    """What was undone of this person's links, oldest first; the latest `WORDS_MAX`."""
    words: list[Word] = []
    """What people have said of this person's identifiers, oldest first; the latest `WORDS_MAX`."""


class Profile(Struct, array_like=True):
    """One person. The step owns the profiles of its view and changes them in place.

    Where there is a native kernel (`onefold.kernel`), those of a worker are the kernel's, with the same attributes and
    methods. Such a one shows a field as an object until a handler is called or it is encoded, and then lets go of it: a
    field is asked for anew after either, and not held on to.
    """

    id: int
    created_at_ms: int
    first_seen_ms: int
    last_seen_ms: int
    now_ms: int
    """The latest log time that touched this profile: what its windows and audiences were last judged at."""
    due_ms: int = NEVER_MS
    """No later than the next instant at which anything here can change by itself; 0: to be judged anew at its home."""
    version: int = 0
    """The definitions that it was last judged under."""
    events: int = 0
    identifiers: dict[str, int] = msgspec.field(default_factory=dict)
    """`namespace:value` → when it was first seen with this person."""
    declared: dict[str, Declared] = msgspec.field(default_factory=dict)
    computed: dict[str, Any] = msgspec.field(default_factory=dict)
    """Trait → value; a trait without a value is absent."""
    slots: dict[str, Any] = msgspec.field(default_factory=dict)
    """State of each aggregate, by the key that its canonical text hashes to."""
    audiences: dict[str, int] = msgspec.field(default_factory=dict)
    """Audience → when the profile entered it."""
    links: list[Link] = msgspec.field(default_factory=list)
    """The evidence that made these identifiers one person: each link joined what was apart until then."""
    merges: list[Merge] = msgspec.field(default_factory=list)
    recent: list[int] = msgspec.field(default_factory=list)
    """The latest events, oldest first, as `partition << 56 | position`."""
    notes: Notes | None = None

    def noted(self) -> Notes:
        """Its notes, to be added to."""
        if self.notes is None:
            self.notes = Notes()
        return self.notes

    def has_all(self, identifiers: tuple[str, ...]) -> bool:
        """Whether all of these are this person's."""
        known = self.identifiers
        for identifier in identifiers:  # noqa: SIM110 - a generator would cost more than it asks
            if identifier not in known:
                return False
        return True

    def give(self, identifier: str, since_ms: int) -> None:
        """From now on this identifier is this person's."""
        self.identifiers[identifier] = since_ms

    def keeps(self, slot: str) -> bool:
        """Whether it has a state under this key."""
        return slot in self.slots

    def saw(self, at_ms: int, now_ms: int, place: int) -> int:
        """Count an event of this time and place (as in `recent`), which the log has come to at `now_ms`.

        Returns which of the built-ins it changes: 1 `first_seen`, 2 `last_seen`, 3 both, because it is the first event
        (whose times it is for the caller to know); 0 neither.
        """
        self.now_ms = now_ms
        self.events += 1
        recent = self.recent
        recent.append(place)
        if len(recent) > RECENT_EVENTS_MAX:
            del recent[0]
        if self.events == 1:
            return 3
        if at_ms > self.last_seen_ms:
            self.last_seen_ms = at_ms
            return 2
        if at_ms < self.first_seen_ms:
            self.first_seen_ms = at_ms
            return 1
        return 0


class Known(Struct, array_like=True, gc=False):
    """A profile's identifiers, and why they are one person's: of the same bytes nothing else is read."""

    id: int
    created_at_ms: int
    first_seen_ms: int
    last_seen_ms: int
    now_ms: int
    due_ms: int
    version: int
    events: int
    identifiers: dict[str, int]
    declared: msgspec.Raw
    computed: msgspec.Raw
    slots: msgspec.Raw
    audiences: dict[str, int]
    links: list[Link]
    merges: list[Merge]
    recent: msgspec.Raw
    notes: Notes | None = None


assert Known.__struct_fields__ == Profile.__struct_fields__

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Profile)
_FIELDS = len(Profile.__struct_fields__)
_WITHOUT_NOTES = b"\xdc" + (_FIELDS - 1).to_bytes(2)
"""How so many fields begin; their number is written in two bytes as long as there are more than 15."""
assert _FIELDS > 16


def encode(profile: Profile) -> bytes:
    """A profile as the state keeps it: without notes just as before there were any. The kernel's do so themselves."""
    if type(profile) is not Profile:
        native: Any = profile
        kept: bytes = native.encode()
        return kept
    encoded = _encoder.encode(profile)
    return encoded if profile.notes is not None else _WITHOUT_NOTES + encoded[3:-1]


decode = _decoder.decode
"""The profile in these bytes."""

_FIELD_DECODERS = {
    name: msgspec.msgpack.Decoder(kind).decode for name, kind in get_type_hints(Profile).items() if kind is not int
}


def thawed(field: str, data: bytes) -> Any:
    """A field of a profile from the bytes that it has within those of the profile."""
    return _FIELD_DECODERS[field](data)


encode_part = _encoder.encode
"""Whatever may stand in a profile, as it stands in the profile's bytes."""

decode_part = msgspec.msgpack.Decoder().decode
"""The same from its bytes, where it is a state of a slot."""

decode_known = msgspec.msgpack.Decoder(Known).decode
"""Of the profile in these bytes what `Known` has: a third of the cost, or less."""
