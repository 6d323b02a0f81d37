"""Where the values of a profile's traits come from: the event that said a declared one, what reckons a computed one.

An event's source is read back from the log, as states keep places and not names; where the log's retention has removed
the event, its place and time remain.
"""

from collections.abc import Iterable, Iterator

import msgspec
from msgspec import Struct

from onefold.errors import Damaged, NotFoundError
from onefold.language import nodes as n
from onefold.language.reading.parse import parse_expression
from onefold.language.reading.show import show, show_path
from onefold.language.stream.inputs import walk
from onefold.model import position
from onefold.model.definitions import is_shadow
from onefold.model.profile import Declared, Profile
from onefold.ports import LogReader
from onefold.server import instants
from onefold.server.engines import Engines
from onefold.server.people.profile_answer import PartAnswer, ProvenanceAnswer, ReckonedAnswer, SaidAnswer, event_id
from onefold.server.people.projection import Projection


class _Sender(Struct):
    """Of an entry, who sent it."""

    source: str


_decode_sender = msgspec.json.Decoder(_Sender).decode


def provenance(engines: Engines, found: Profile, include: Projection) -> ProvenanceAnswer:
    """Of the traits that are wanted. Reads a record of the log for each event that is named."""
    declared = {name: found.declared[name] for name in include.of("traits", found.declared)}
    computed = [name for name in include.of("computed", found.computed) if not is_shadow(name)]
    said = dict(_said(engines.log, declared))
    for rule in engines.rules().identity.traits:
        if rule.name in said and found.notes is not None:
            said[rule.name].keep = rule.keep
            said[rule.name].parts = _parts(found.notes.parts.get(f"{rule.keep}:{rule.name}", {}))
    return ProvenanceAnswer(said, dict(_reckoned(engines, found.version, computed)))


def _parts(parts: dict[str, Declared]) -> list[PartAnswer]:
    return [
        PartAnswer(part, said.value, instants.show(said.at_ms), _event(said.place))
        for part, said in sorted(parts.items())
    ]


def _event(place: int) -> str | None:
    """Its id; None where it was folded before places were kept."""
    return None if place < 0 else event_id(*position.place(place))


def _said(log: LogReader, declared: dict[str, Declared]) -> Iterator[tuple[str, SaidAnswer]]:
    sources: dict[int, str | None] = {-1: None}
    for name, trait in declared.items():
        place = trait.place
        if place not in sources:
            sources[place] = _source(log, *position.place(place))
        yield name, SaidAnswer(instants.show(trait.at_ms), _event(place), sources[place])


def _source(log: LogReader, partition: int, place: int) -> str | None:
    """Who sent the event; None where the log does not keep it any more. Raises `Damaged`."""
    offset, _ = position.split(place)
    try:
        records = log.read(partition, offset, 1)
    except NotFoundError:
        return None
    if not records or records[0].offset != offset:
        return None
    try:
        return _decode_sender(records[0].data).source
    except msgspec.MsgspecError as error:
        raise Damaged(f"the event {event_id(partition, place)} cannot be read: {error}") from error


def _reckoned(engines: Engines, version: int, names: Iterable[str]) -> Iterator[tuple[str, ReckonedAnswer]]:
    expressions = _expressions(engines, version)
    for name in names:
        if name not in expressions:
            continue
        node = parse_expression(expressions[name])
        parts = list(walk(node)) if isinstance(node, n.Node) else []
        kept = [show(part) for part in parts if isinstance(part, n.Kept)]
        audiences = [part.name for part in parts if isinstance(part, n.InAudience)]
        yield (
            name,
            ReckonedAnswer(version, expressions[name], _once(kept), _once(_traits(parts)), _once(audiences)),
        )


def _expressions(engines: Engines, version: int) -> dict[str, str]:
    """Trait → its expression; nothing of a version that the catalog does not have, as where a state was restored."""
    try:
        definitions = engines.catalog.definitions(version)
    except NotFoundError:
        return {}
    return {trait.name: trait.expression for trait in definitions.traits}


def _traits(parts: Iterable[n.Node]) -> Iterator[str]:
    for part in parts:
        if isinstance(part, n.TraitRef):
            yield part.name
        elif isinstance(part, n.Declared):
            yield show_path(("traits", part.path[0]))
        elif isinstance(part, n.OfAccount):
            yield show(part)


def _once(texts: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(texts))
