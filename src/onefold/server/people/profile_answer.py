"""A profile as the API shows it."""

from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import UNSET, Struct, UnsetType

from onefold.language.keeping.accounts import GROUP, link
from onefold.model import position
from onefold.model.definitions import is_shadow, live_name
from onefold.model.profile import Notes, Profile
from onefold.server import instants
from onefold.server.instants import Instant
from onefold.server.people.projection import Projection


class IdentifierAnswer(Struct):
    """One value of a namespace, and when it was first seen with this person."""

    value: str
    first_seen_at: Instant


class MembershipAnswer(Struct):
    """An audience that the profile is in."""

    name: str
    entered_at: Instant


class LinkAnswer(Struct):
    """Why two identifiers are the same person: the rule, and the event that showed it."""

    a: str
    b: str
    rule: str
    event: str
    at: Instant


class MergeAnswer(Struct):
    """Another profile that became part of this one, by the link of this event."""

    absorbed: str
    event: str
    at: Instant


class PartAnswer(Struct):
    """What one part has said of a trait of which more than the newest value counts, and where."""

    part: str
    """An identifier, a source, `verified` or `said`, as the trait's rule asks; empty: before there was a rule."""
    value: Any
    at: Instant
    event: str | None


class SaidAnswer(Struct, omit_defaults=True):
    """Where a declared trait's value comes from."""

    at: Instant
    """When that event happened."""
    event: str | None
    """Its place in the log; null: it was folded before places were kept."""
    source: str | None
    """null: the log does not keep the event any more."""
    keep: str = ""
    """Of a trait that has a rule, how its values become one; absent: the newest counts."""
    parts: list[PartAnswer] = []


class ReckonedAnswer(Struct):
    """Where a computed trait's value comes from."""

    definitions_version: int
    """Under which it was last judged."""
    expression: str
    aggregates: list[str]
    """What is counted or followed for it, in the language; of which events, its first argument says."""
    traits: list[str]
    """Other traits that it is reckoned from: `plan` a computed one, `traits.plan` one that events declare.

    `account.plan` is one of the person's account.
    """
    audiences: list[str]
    """Audiences that it is reckoned from."""


class SeenAnswer(Struct):
    """An identifier, and when something was found of it."""

    identifier: str
    at: Instant


class LimitAnswer(Struct):
    """A rule that has kept identifiers out, and when it last did."""

    rule: str
    at: Instant


class ApartAnswer(Struct):
    """An identifier of the profile, and one that it is not linked to any more."""

    identifier: str
    other: str


class UndoneAnswer(Struct):
    """Somebody had links undone."""

    at: Instant
    by: str
    why: str
    entry: str
    """Where it is in the log."""


class IdentityAnswer(Struct):
    """What the rules of identity have noted of the profile; it is judged as any other."""

    seen: list[SeenAnswer]
    """Identifiers that came with its events and lead to somebody else, or to nobody."""
    former: list[SeenAnswer]
    """Identifiers that lead here, although newer ones have taken their place."""
    hot: list[SeenAnswer]
    """Identifiers of it that have met too many others, and join nobody any more."""
    at_limit: list[LimitAnswer]
    never: list[str]
    """Identifiers that somebody has said are never this person's."""
    apart: list[ApartAnswer]
    """Links that somebody has undone: events that have both identifiers join them no more."""
    loose: list[str]
    """Identifiers of it that join nobody, since somebody has undone all that they had joined."""
    undone: list[UndoneAnswer]
    """When somebody has had it taken apart, who, and why."""


class ProvenanceAnswer(Struct):
    """Where the values of traits come from."""

    traits: dict[str, SaidAnswer]
    computed: dict[str, ReckonedAnswer]


class ShadowAnswer(Struct):
    """What the definitions in shadow make of the profile, as far as they differ from the live ones."""

    computed: dict[str, Any]
    audiences: list[MembershipAnswer]


class AsOfAnswer(Struct):
    """Which past is shown, and how far it is known."""

    at: Instant
    profile_now: str
    """What has become of the profile: itself, or who has absorbed it."""
    memberships: str
    """`told`: the audiences are those that the platform said then; `computed`: history does not reach so far back, or
    `late` was asked for, and they are what the events make."""
    events_forgotten: int
    """Events of the person, of any time, that are no longer kept: values may lack them."""
    late: bool
    """What is known now of that instant, late events included."""


class ProfileAnswer(Struct):
    """One person. Parts that `include` left out are absent."""

    id: str
    created_at: Instant
    first_seen_at: Instant
    last_seen_at: Instant
    judged_at: Instant
    """The log time at which computed traits and audiences were last judged; timers judge again when a window ends."""
    definitions_version: int
    events: int
    account: str | UnsetType = UNSET
    """What the person's account is called; absent without one, or where no definition has to do with accounts."""
    identifiers: dict[str, list[IdentifierAnswer]] | UnsetType = UNSET
    traits: dict[str, Any] | UnsetType = UNSET
    """Declared by events."""
    computed: dict[str, Any] | UnsetType = UNSET
    """Computed by the workspace's definitions."""
    audiences: list[MembershipAnswer] | UnsetType = UNSET
    links: list[LinkAnswer] | UnsetType = UNSET
    merges: list[MergeAnswer] | UnsetType = UNSET
    provenance: ProvenanceAnswer | UnsetType = UNSET
    """Where the traits that are shown come from."""
    shadow: ShadowAnswer | UnsetType = UNSET
    as_of: AsOfAnswer | UnsetType = UNSET
    identity: IdentityAnswer | UnsetType = UNSET
    """Absent where there is nothing to say."""


def answer(found: Profile, include: Projection) -> ProfileAnswer:
    """A profile as the API shows it, but for provenance, which is not in it (`provenance`)."""
    show = instants.show
    shown = ProfileAnswer(
        position.show(found.id),
        show(found.created_at_ms),
        show(found.first_seen_ms),
        show(found.last_seen_ms),
        show(found.now_ms),
        found.version,
        found.events,
    )
    if (mine := link(found.slots)) is not None:
        shown.account = mine[GROUP]
    if "identifiers" in include:
        shown.identifiers = _by_namespace(found.identifiers, include)
    if "traits" in include:
        shown.traits = {name: found.declared[name].value for name in include.of("traits", found.declared)}
    if "computed" in include:
        shown.computed = {name: found.computed[name] for name in _live(include.of("computed", found.computed))}
    if "audiences" in include:
        names = sorted(_live(include.of("audiences", found.audiences)))
        shown.audiences = [MembershipAnswer(name, show(found.audiences[name])) for name in names]
    if "links" in include:
        shown.links = [
            LinkAnswer(link.a, link.b, link.rule, event_id(link.partition, link.position), show(link.at_ms))
            for link in found.links
        ]
    if "merges" in include:
        shown.merges = [
            MergeAnswer(position.show(merge.absorbed), event_id(merge.partition, merge.position), show(merge.at_ms))
            for merge in found.merges
        ]
    if "identity" in include and found.notes is not None:
        shown.identity = _identity(found.notes)
    if "shadow" in include:
        shown.shadow = _shadow(found)
    return shown


def event_id(partition: int, place: int) -> str:
    """An event's place in the log, as users see it."""
    return f"{partition:02x}-{place:x}"


def _live(names: Iterable[str]) -> Iterable[str]:
    return (name for name in names if not is_shadow(name))


def _shadow(found: Profile) -> ShadowAnswer:
    memberships = sorted((live_name(name), at_ms) for name, at_ms in found.audiences.items() if is_shadow(name))
    return ShadowAnswer(
        {live_name(name): value for name, value in found.computed.items() if is_shadow(name)},
        [MembershipAnswer(name, instants.show(at_ms)) for name, at_ms in memberships],
    )


def _identity(notes: Notes) -> IdentityAnswer:
    return IdentityAnswer(
        _seen(notes.seen),
        _seen(notes.former),
        _seen(notes.hot),
        [LimitAnswer(rule, instants.show(at_ms)) for rule, at_ms in sorted(notes.full.items())],
        notes.never,
        [ApartAnswer(one, other) for one, others in sorted(notes.apart.items()) for other in others],
        notes.loose,
        [
            UndoneAnswer(instants.show(each.at_ms), each.by, each.why, event_id(each.partition, each.position))
            for each in notes.undone
        ],
    )


def _seen(found: Mapping[str, int]) -> list[SeenAnswer]:
    return [SeenAnswer(identifier, instants.show(at_ms)) for identifier, at_ms in sorted(found.items())]


def _by_namespace(found: Mapping[str, int], include: Projection) -> dict[str, list[IdentifierAnswer]]:
    grouped: dict[str, list[IdentifierAnswer]] = {}
    for identifier, first_seen_ms in found.items():
        namespace, _, value = identifier.partition(":")
        grouped.setdefault(namespace, []).append(IdentifierAnswer(value, instants.show(first_seen_ms)))
    return {namespace: grouped[namespace] for namespace in include.of("identifiers", grouped)}
