"""What a delivery says: the JSON body made from an effect, with the person's identifiers and the event as it came.

    {"type": "audience.entered", "timestamp": "2026-01-02T03:04:05.678Z", "data": {...}}

`data` always has `profile` (null for a rejected event) and, of people, `identifiers` by namespace.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import msgspec
import xxhash
from msgspec import Raw, Struct

from onefold.errors import Damaged, NotFoundError
from onefold.model import effect as effects
from onefold.model import position as positions
from onefold.model.delivery import Delivery, commit_of
from onefold.model.effect import (
    Admitted,
    AnyEffect,
    Changed,
    Created,
    Entered,
    Hot,
    Left,
    LinkRefused,
    Merged,
    Moved,
    RejectedEvent,
    Split,
)
from onefold.model.entry import Outgoing
from onefold.ports import LogReader, State
from onefold.runtime.folding.recent import Recent

TYPES: dict[type[AnyEffect], str] = {
    Admitted: "event",
    Created: "profile.created",
    Merged: "profile.merged",
    Split: "profile.split",
    Changed: "profile.changed",
    LinkRefused: "link.refused",
    Moved: "identifier.moved",
    Hot: "identifier.hot",
    Entered: "audience.entered",
    Left: "audience.left",
    RejectedEvent: "event.rejected",
}

_RECORDS = 64
"""Decoded records kept: effects of one record come one after the other, for every destination."""
_PEOPLE = 1_000


class Head(Struct, array_like=True):
    """The first fields of a stored profile; the rest, most of it, is skipped unread."""

    id: int
    created_at_ms: int
    first_seen_ms: int
    last_seen_ms: int
    now_ms: int
    due_ms: int
    version: int
    events: int
    identifiers: dict[str, int]


_encode = msgspec.json.Encoder().encode
_decode_head = msgspec.msgpack.Decoder(Head).decode
_decode_record = msgspec.json.Decoder(Outgoing).decode


class Payloads:
    """Makes deliveries from effects, reading people from the state and events from the log."""

    def __init__(self, state: State, log: LogReader) -> None:
        self._state = state
        self._log = log
        self._records: Recent[tuple[int, int], list[Raw]] = Recent(_RECORDS)
        self._people: Recent[tuple[int, int], dict[str, list[str]]] = Recent(_PEOPLE)

    def prepare(self, commit: int, effects: Iterable[AnyEffect]) -> None:
        """Look up the people of these effects of one commit at once; `make` would do it one by one."""
        unknown = {effect.profile for effect in effects if effect.profile}
        unknown = {profile for profile in unknown if (commit, profile) not in self._people}
        if unknown:
            found = self._state.survivors(unknown)
            for profile in unknown:
                self._people.put((commit, profile), _identifiers(found.get(profile)))

    def make(self, seq: int, partition: int, effect: AnyEffect, tag: str) -> Delivery | None:
        """The delivery of this effect; None where its event is no longer in the log, or is damaged there.

        `tag` tells this destination's deliveries from those of others: `tag_of`.
        """
        data = self._data(seq, partition, effect)
        if data is None:
            return None
        kind = TYPES[type(effect)]
        body = _encode({"type": kind, "timestamp": _iso(effect.at_ms), "data": data})
        key = f"msg_{effects.key(partition, effect)}-{tag}"
        return Delivery(seq, key, effect.profile, kind, body, since_ms=effect.at_ms)

    def _data(self, seq: int, partition: int, effect: AnyEffect) -> dict[str, Any] | None:
        if isinstance(effect, RejectedEvent):
            return {"profile": None, "source": effect.source, "reason": effect.reason}
        identifiers = self._identifiers(seq, effect.profile)
        about: dict[str, Any] = {"profile": positions.show(effect.profile), "identifiers": identifiers}
        if isinstance(effect, Admitted):
            event = self._event(partition, effect.position)
            return None if event is None else about | {"event": event}
        return about | _particulars(effect)

    def _event(self, partition: int, position: int) -> Raw | None:
        offset, index = positions.split(position)
        events = self._records.get((partition, offset))
        if events is None:
            events = self._read(partition, offset)
            self._records.put((partition, offset), events)
        return events[index] if index < len(events) else None

    def _read(self, partition: int, offset: int) -> list[Raw]:
        """The events of a record; none where retention, or a cluster that has lost its end, no longer has it."""
        try:
            records = self._log.read(partition, offset, 1)
        except (NotFoundError, Damaged):
            return []
        if not records or records[0].offset != offset:
            return []
        try:
            return _decode_record(records[0].data).events
        except msgspec.MsgspecError:  # Another log lies there now.
            return []

    def _identifiers(self, seq: int, profile: int) -> dict[str, list[str]]:
        place = (commit_of(seq), profile)
        found = self._people.get(place)
        if found is None:
            found = _identifiers(self._state.profile(profile))
            self._people.put(place, found)
        return found


def tag_of(destination: str) -> str:
    """Eight hex digits that stay the same for a destination's name."""
    return f"{xxhash.xxh32_intdigest(destination.encode()):08x}"


def _particulars(effect: AnyEffect) -> dict[str, Any]:
    said: dict[str, Any] = {}
    match effect:
        case Entered(audience=audience):
            said = {"audience": audience}
        case Left(audience=audience, reason=reason):
            said = {"audience": audience, "reason": reason}
        case Changed(traits=traits):
            said = {"traits": traits}
        case Merged(a=a, b=b, rule=rule):
            said = {"absorbed": positions.show(effect.absorbed), "link": [a, b], "rule": rule}
        case Split(former=former):
            said = {"former": positions.show(former)}
        case LinkRefused(a=a, b=b, rule=rule):
            said = {"link": [a, b], "rule": rule}
        case Moved(identifier=identifier, rule=rule):
            said = {"identifier": identifier, "former": positions.show(effect.former), "rule": rule}
        case Hot(identifier=identifier, others=others):
            said = {"identifier": identifier, "others": others}
        case _:
            pass
    return said


def _identifiers(profile: bytes | None) -> dict[str, list[str]]:
    """By namespace."""
    grouped: dict[str, list[str]] = {}
    for identifier in _decode_head(profile).identifiers if profile else ():
        namespace, _, value = identifier.partition(":")
        grouped.setdefault(namespace, []).append(value)
    return grouped


def _iso(at_ms: int) -> str:
    at = datetime.fromtimestamp(at_ms / 1000, UTC)
    return at.isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"
