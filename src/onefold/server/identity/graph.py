"""The identity graph of a profile: its identifiers, what ties them together, and what was refused."""

from collections.abc import Iterator

from msgspec import Struct

from onefold.model import position
from onefold.model.profile import Notes
from onefold.server import instants
from onefold.server.engines import Engines
from onefold.server.identity import tracing as traces
from onefold.server.identity.tracing import BondAnswer, Refusal, Traced
from onefold.server.identity.words import of_hindrance
from onefold.server.instants import Instant


class NodeAnswer(Struct):
    """An identifier of the profile."""

    identifier: str
    type: str
    value: str
    first_seen: Instant
    hot: bool
    """It has come with too many others, and joins nobody any more."""
    former: bool
    """It has lost what tied it to this person, and leads here until somebody else comes with it."""
    met: int
    """How many other people have come with it without having it."""


class RefusedAnswer(Struct):
    """An identifier that is somebody else's, or nobody's, and what keeps it apart from this profile."""

    kind: str
    a: str | None
    """Of this profile."""
    b: str
    rule: str
    text: str
    profile: str | None
    """Whose `b` is; null: nobody's."""
    by: str
    at: Instant | None
    events: int
    latest: Instant | None


class GraphAnswer(Struct):
    """The whole of it. A picture shows at most so much of it as can be read."""

    profile: str
    events: int
    events_forgotten: int
    """Events that are no longer kept: what they showed is not counted."""
    merges: int
    nodes: list[NodeAnswer]
    """In the order in which they were first seen."""
    links: list[BondAnswer]
    refused: list[RefusedAnswer]
    refused_left_out: int
    """Other people, or values that nobody has, with which it came to nothing, too."""


def graph(engines: Engines, who: str) -> GraphAnswer:
    """The graph of the profile that `who` names. Raises `NotFoundError`, `InvalidRequest`, `StorageError`, its kin."""
    _, traced, refused, left_out = traces.whole(engines, who)
    profile = traced.profile
    return GraphAnswer(
        position.show(profile.id), profile.events, traced.forgotten, len(profile.merges), list(_nodes(traced)),
        [traces.bond(traced, each) for each in traced.bonds], list(map(_refused, refused)), left_out,
    )  # fmt: skip


def _nodes(traced: Traced) -> Iterator[NodeAnswer]:
    notes = traced.profile.notes or Notes()
    ordered = sorted(traced.profile.identifiers.items(), key=lambda each: (each[1], each[0]))
    for identifier, since_ms in ordered:
        kind, _, value = identifier.partition(":")
        hot, former = identifier in notes.hot, identifier in notes.former
        yield NodeAnswer(identifier, kind, value, instants.show(since_ms), hot, former, notes.met.get(identifier, 0))


def _refused(refusal: Refusal) -> RefusedAnswer:
    found = refusal.hindrance
    return RefusedAnswer(
        found.kind, found.a or None, found.b or found.shared, found.rule, of_hindrance(found),
        position.show(refusal.owner) if refusal.owner else None, found.by,
        instants.show(found.at_ms) if found.at_ms else None, found.events,
        instants.show(found.latest_ms) if found.latest_ms else None,
    )  # fmt: skip
