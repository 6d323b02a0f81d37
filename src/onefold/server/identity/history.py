"""The history of somebody's identity: how the profile came to be, what was merged, refused and said, as it happened.

Links and merges are kept by the profile, as are people's words; refusals are read from its events and from whoever else
has what came with them. Effects that the state still keeps say what else became of it.
"""

from collections.abc import Iterable, Iterator

from litestar import Router
from msgspec import Struct, structs

from onefold.core.identity.evidence import NOWHERE
from onefold.core.identity.rules import EXPLICIT, LOGIN, NEWEST_LINK
from onefold.limits import HISTORY_SHOWN
from onefold.model import position
from onefold.model.effect import (
    Admitted,
    AnyEffect,
    Changed,
    Created,
    Effect,
    Entered,
    Hot,
    Hushed,
    Left,
    LinkRefused,
    Merged,
    Moved,
    RejectedEvent,
)
from onefold.model.position import profile_id
from onefold.model.profile import Merge, Notes
from onefold.model.sighting import Bond, Place, Sighting
from onefold.runtime.identity.sightings import Sightings
from onefold.server import instants
from onefold.server.engines import Engines, Given
from onefold.server.identity import tracing as traces
from onefold.server.identity.tracing import Refusal, SightingAnswer, Traced
from onefold.server.identity.words import of_bond, of_hindrance, of_rule
from onefold.server.instants import Instant
from onefold.server.people.profile_answer import event_id
from onefold.server.people.profiles import Name
from onefold.server.route import read, segment

SCOPE = "profiles:read events:read"


class TurnAnswer(Struct):
    """Something that became of somebody's identity."""

    at: Instant
    """Log time; of what is no longer kept exactly, the earliest that it can have been."""
    kind: str
    """`created`, `linked`, `merged`, `moved`, `refused`, `hot`, `said`, `never`, or the name of another effect."""
    text: str
    rule: str
    a: str | None
    b: str | None
    profile: str | None
    """Of whom it is besides: who was absorbed, whose a refused identifier is, what was split off."""
    by: str
    place: str | None
    """Where in the log it was caused."""
    event: SightingAnswer | None
    """The event there; null: it was none, or it is no longer kept."""


class HistoryAnswer(Struct):
    """All of it, oldest first."""

    profile: str
    turns: list[TurnAnswer]
    turns_left_out: int
    """Older ones than those that are shown."""
    refused_left_out: int
    """Other people, or values that nobody has, with which it came to nothing, too."""
    events_forgotten: int
    """Events that are no longer kept: what they showed and was refused is not in this."""


def history(engines: Engines, who: str) -> HistoryAnswer:
    """The history of whoever `who` names. Raises `NotFoundError`, `InvalidRequest`, `StorageError` and its kin."""
    reader, traced, refused, left_out = traces.whole(engines, who)
    profile = traced.profile
    turns = sorted(_Turns(traced, reader, refused).all(), key=_order)
    return HistoryAnswer(
        position.show(profile.id), [turn for _, _, turn in turns[-HISTORY_SHOWN:]], max(0, len(turns) - HISTORY_SHOWN),
        left_out, traced.forgotten,
    )  # fmt: skip


_Turn = tuple[int, Place, TurnAnswer]
_KINDS = ("created", "linked", "merged", "moved")


def _order(turn: _Turn) -> tuple[int, Place, int, str]:
    at_ms, place, shown = turn
    kind = _KINDS.index(shown.kind) if shown.kind in _KINDS else len(_KINDS)
    return at_ms, place, kind, shown.text


class _Turns:
    def __init__(self, traced: Traced, sightings: Sightings, refused: Iterable[Refusal]) -> None:
        self._traced = traced
        self._sightings = sightings
        self._refused = refused
        self._notes = traced.profile.notes or Notes()

    def all(self) -> Iterator[_Turn]:
        """Everything that is known, in no order."""
        yield from self._created()
        yield from map(self._bond, self._traced.bonds)
        yield from self._came_over()
        yield from self._merged_by_what_is_not_kept()
        yield from self._kept_apart()
        yield from self._became_hot()
        yield from self._said()
        yield from self._undone()
        yield from self._told()

    def _turn(self, at_ms: int, place: Place, kind: str, text: str, **more: str | None) -> _Turn:
        seen = self._traced.at.get(place)
        shown = TurnAnswer(
            instants.show(at_ms), kind, text, more.get("rule") or "", more.get("a"), more.get("b"),
            more.get("profile"), more.get("by") or "",
            None if place[1] == NOWHERE else event_id(*place),
            None if seen is None else traces.sighting(seen),
        )  # fmt: skip
        return at_ms, place, shown

    def _created(self) -> Iterator[_Turn]:
        """Each of the profiles that this is made of began with an event, whose place its id tells."""
        began = {profile_id(*seen.place): seen for seen in self._traced.sightings}
        profile = self._traced.profile
        numbers = (profile.id, *(merge.absorbed for merge in profile.merges))
        first = min(numbers, key=lambda one: self._began(began, one))
        for number in numbers:
            seen = began.get(number)
            place = position.place(number - 1)
            at_ms = seen.received_ms if seen else profile.created_at_ms
            names = f" with {', '.join(seen.identifiers)}" if seen else ""
            what = "the profile began" if number == first else f"{position.show(number)} began"
            yield self._turn(at_ms, place, "created", what + names, profile=position.show(number))

    def _began(self, began: dict[int, Sighting], number: int) -> tuple[int, int]:
        seen = began.get(number)
        return (seen.received_ms if seen else self._traced.profile.created_at_ms), number

    def _bond(self, bond: Bond) -> _Turn:
        kind = "merged" if bond.absorbed else "moved" if bond.rule in (NEWEST_LINK, LOGIN) else "linked"
        how = of_bond(bond)
        if bond.absorbed:
            text = f"{position.show(bond.absorbed)} became part of it: {bond.a} and {bond.b} are one person, {how}"
        elif kind == "moved":
            text = f"{bond.b} came over from somebody else: {how}"
        else:
            text = f"{bond.a} and {bond.b}: {how}"
        absorbed = position.show(bond.absorbed) if bond.absorbed else None
        return self._turn(
            bond.at_ms, bond.place, kind, text, rule=bond.rule, a=bond.a, b=bond.b, profile=absorbed, by=bond.by
        )

    def _came_over(self) -> Iterator[_Turn]:
        """What has followed the newest link from somebody else, which need not be what ties it to the others."""
        known = {(bond.place, bond.b) for bond in self._traced.bonds}
        for link in self._traced.profile.links:
            place = link.partition, link.position
            if link.rule == NEWEST_LINK and (place, link.b) not in known:
                yield self._bond(Bond(link.a, link.b, link.rule, *place, link.at_ms))

    def _merged_by_what_is_not_kept(self) -> Iterator[_Turn]:
        known = {bond.absorbed for bond in self._traced.bonds}
        for merge in self._traced.profile.merges:
            if merge.absorbed not in known:
                yield self._merge(merge)

    def _merge(self, merge: Merge) -> _Turn:
        """With what the effect told, where the state still keeps it."""
        absorbed, place = position.show(merge.absorbed), (merge.partition, merge.position)
        for effect in self._sightings.told(place):
            if isinstance(effect, Merged) and effect.absorbed == merge.absorbed:
                text = f"{absorbed} became part of it: {effect.a} and {effect.b} are one person, {of_rule(effect.rule)}"
                return self._turn(
                    merge.at_ms, place, "merged", text, rule=effect.rule, a=effect.a, b=effect.b, profile=absorbed
                )
        return self._turn(merge.at_ms, place, "merged", f"{absorbed} became part of it", profile=absorbed)

    def _kept_apart(self) -> Iterator[_Turn]:
        for found, owner in self._refused:
            if found.kind in ("never", "undone"):  # They are told as what was said, and by whom.
                continue
            place = found.sighting.place if found.sighting else (0, NOWHERE)
            kind = "moved" if found.kind == "moved" else "refused"
            yield self._turn(
                found.at_ms or found.latest_ms, place, kind, of_hindrance(found), rule=found.rule, a=found.a or None,
                b=found.b or found.shared, profile=position.show(owner) if owner else None,
            )  # fmt: skip

    def _became_hot(self) -> Iterator[_Turn]:
        for identifier, since_ms in self._notes.hot.items():
            text = f"{identifier} became hot: it joins nobody any more"
            yield self._turn(since_ms, (0, NOWHERE), "hot", text, a=identifier)

    def _said(self) -> Iterator[_Turn]:
        """People's words; a link that came of one is a link."""
        linked = {bond.place for bond in self._traced.bonds if bond.rule == EXPLICIT}
        for word in self._notes.words:
            place = word.partition, word.position
            if word.never:
                text = f"{word.by or 'somebody'} said that {word.a} and {word.b} are never one person"
            elif place in linked:
                continue
            else:
                text = f"{word.by or 'somebody'} said that {word.a} and {word.b} are one person, which came to nothing"
            kind = "never" if word.never else "said"
            yield self._turn(word.at_ms, place, kind, text, a=word.a, b=word.b, by=word.by)

    def _undone(self) -> Iterator[_Turn]:
        """What was taken from this person, or this person from others."""
        for undone in self._notes.undone:
            text = f"{undone.by} had people taken apart: {undone.why}"
            place = undone.partition, undone.position
            yield self._turn(undone.at_ms, place, "split", text, by=undone.by)

    def _told(self) -> Iterator[_Turn]:
        """Effects of another kind where people had their say, such as of splits."""
        for place in sorted({(word.partition, word.position) for word in self._notes.words}):
            for effect in self._sightings.told(place):
                if type(effect) not in _KNOWN and effect.profile == self._traced.profile.id:
                    yield self._other(place, effect)

    def _other(self, place: Place, effect: AnyEffect) -> _Turn:
        """An effect as it stands; numbers of profiles as they are shown."""
        tag = str(type(effect).__struct_config__.tag)
        fields = {name: value for name, value in structs.asdict(effect).items() if name not in Effect.__struct_fields__}
        told = ", ".join(f"{name} {_shown(name, value)}" for name, value in fields.items() if value not in ("", []))
        former = fields.get("former")
        other = position.show(former) if isinstance(former, int) else None
        return self._turn(effect.at_ms, place, tag, f"{tag}: {told}", profile=other, by=str(fields.get("by", "")))


def _shown(name: str, value: object) -> str:
    if name == "former" and isinstance(value, int):
        return position.show(value)
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


_KNOWN = (Admitted, Changed, Created, Entered, Hot, Hushed, Left, LinkRefused, Merged, Moved, RejectedEvent)


@read(
    "/{name:str}/identity",
    SCOPE,
    "The history of a profile's identity",
    missing=True,
    sync_to_thread=True,
    description="How it came to be: what was linked, merged, moved, refused and said, oldest first.",
)
def get_history(engines: Given, name: Name) -> HistoryAnswer:
    """Answer with the history."""
    return history(engines, segment(name))


router = Router("/v1/profiles", route_handlers=[get_history], tags=["profiles"])
