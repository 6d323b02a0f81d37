"""Definitions that have no SQL: computed for one person after another by the stream's own program, from their events.

SQL finds the events that such a definition mentions and gives them in order of time; the program that would run in the
stream is run over them here, and judges as of the instant that is asked about. Exact, and slow: microseconds an event.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import xxhash

from onefold.errors import NotInSql
from onefold.language import nodes as n
from onefold.language.reading.check import Checked
from onefold.language.sql.aggregates import EVENTS_TYPE
from onefold.language.sql.expressions import FUNCTIONS
from onefold.language.sql.functions import SqlFunction
from onefold.language.stream.compile import compile_definitions, kept_by
from onefold.language.stream.inputs import named, walk
from onefold.model.entry import Received
from onefold.model.profile import Declared, Profile

AGGREGATES = ("count", "sum", "avg", "min", "max", "first", "last", "most_frequent", "unique", "unique_count")
"""Those that have SQL, in a window that ends now or none."""
_PLAIN = (
    n.Literal_, n.Now, n.Declared, n.TraitRef, n.Builtin, n.And, n.Or, n.Not, n.Compare, n.In, n.Arithmetic, n.Negate,
    n.InAudience,
)  # fmt: skip
Event = Mapping[str, Any]
"""As `EVENTS_TYPE`."""
_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


class Fallback:
    """One trait or audience with all that it names, as a function for SQL."""

    def __init__(self, checked: Checked, name: str) -> None:
        """Raises `NotInSql` where it asks for what history does not know."""
        names = references(checked, [name])
        traits = {each: node for each, node in checked.traits.items() if each in names}
        audiences = {each: node for each, node in checked.audiences.items() if each in names}
        nodes = [*traits.values(), *audiences.values()]
        if any(isinstance(part, n.Share) for node in nodes for part in walk(node)):
            raise NotInSql("random_share(), which asks for identifiers")
        part = Checked(traits, audiences, checked.types, [], checked.timezone)
        kept = kept_by(part).values()
        self.events: frozenset[str] = frozenset().union(*map(n.events_of, kept))
        """Names of the events that it mentions; `*` is every name."""
        said = {each.path[0] for node in nodes for each in walk(node) if isinstance(each, n.Declared)}
        by_person = any(isinstance(each, n.Aggregate) and each.timezone == n.PERSON for each in kept)
        self.declared = sorted(map(str, said | ({"timezone"} if by_person else set())))
        """Declared traits that it reads."""
        text = "".join(f"{each}={n.canonical(node)};" for each, node in (traits | audiences).items())
        self.called = f"onefold_python_{xxhash.xxh3_128_hexdigest(f'{name};{checked.timezone};{text}'.encode())}"
        """The function's name: another one for whatever means something else."""
        self._name = name
        self._program = compile_definitions(part, 0)

    def function(self) -> SqlFunction:
        """(events in order, declared traits as JSON, [events, first seen, last seen], now) → value as JSON."""
        return SqlFunction(self._value, (EVENTS_TYPE, "VARCHAR[]", "BIGINT[]", "BIGINT"), "VARCHAR")

    def _value(
        self,
        events: Sequence[Event],
        declared: Sequence[str | None],
        seen: Sequence[int | None],
        now_ms: int,
    ) -> str | None:
        many, first_ms, last_ms = (number or 0 for number in seen)
        profile = Profile(0, 0, first_ms, last_ms, now_ms, events=many)
        for root, value in zip(self.declared, declared, strict=True):
            if value is not None:
                profile.declared[root] = Declared(_decode(value), 0, b"")
        self._put(profile, events, now_ms)
        self._program.judge_all(profile, now_ms, {}, [])
        if self._name in self._program.audience_names:
            return "true" if self._name in profile.audiences else "false"
        value = profile.computed.get(self._name)
        return None if value is None else _encode(value).decode()

    def _put(self, profile: Profile, events: Sequence[Event], now_ms: int) -> None:
        handlers = self._program.handlers
        texts = ",".join(each["event"] for each in events)
        entry = self._program.decode(f'{{"kind":"received","source":"","at_ms":0,"events":[{texts}]}}'.encode())
        assert isinstance(entry, Received)
        for each, event in zip(events, entry.events, strict=True):
            name = event.event if event.type == "track" and event.event is not None else event.type
            put = (handlers[name] if name in handlers else handlers["*"]).put
            if put is not None:
                put(profile, event, each["at_ms"], each["tie"], now_ms)


def has_sql(node: n.Node, types: Mapping[str, n.Type]) -> bool:
    """Whether SQL says all of an expression in profile scope, among traits of these types."""
    for part in walk(node):
        if isinstance(part, n.Aggregate):
            if not _aggregate_has_sql(part):
                return False
        elif isinstance(part, n.TraitRef):
            if types.get(part.name) == "instant":
                return False
        elif not _plain(part):
            return False
    return True


def _aggregate_has_sql(node: n.Aggregate) -> bool:
    later = (node.until_ms, node.calendar, node.timezone, node.number, node.every_ms, node.per)
    inside = [part for each in (node.field, node.where) if each is not None for part in n.everything(each)]
    known = all(_plain(part) or (isinstance(part, n.Field) and _is_path(part.path, "time")) for part in inside)
    return node.function in AGGREGATES and all(each is None for each in later) and known


def _plain(node: n.Node) -> bool:
    if isinstance(node, n.Call):
        return node.function in FUNCTIONS
    if isinstance(node, n.Declared):
        return _is_path(node.path)
    return isinstance(node, _PLAIN)


def _is_path(path: n.Path, *but: str) -> bool:
    return all(isinstance(step, str) for step in path) and path[0] not in but


def references(checked: Checked, names: Sequence[str] | set[str]) -> set[str]:
    """These traits and audiences, and those that they name, however far."""
    trees = checked.traits | checked.audiences
    found = set(names)
    left = list(found)
    while left:
        more = {part.name for part in named(trees[left.pop()])} - found
        found |= more
        left += more
    return found
