"""Naming: which identifiers events name that do not stand in a column of history, as numbers to be looked up by.

History keeps the plain ids of an event in columns of their own, where they are found quickly. What else it names (an
e-mail, a phone, a device, what a workspace's fields carry) stands inside of it. Each such identifier is told as a hash;
what finds events by it looks at these more closely, so that two identifiers of one hash cost time and nothing else.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import xxhash

from onefold.core.identity.identifiers import finder_of
from onefold.core.identity.rulebook import namespace
from onefold.language.stream import excerpt
from onefold.model.event import Context, Event, Excerpt
from onefold.model.past import signed
from onefold.model.rules import Rules

_PLAIN = ("user_id", "anonymous_id")
_PARTS = frozenset(Context.__struct_fields__)
"""Parts of the context that may name people wherever a workspace looks."""
_VERSION = 1
"""Of what is told here: another number makes every history be read again."""

_encode = msgspec.json.Encoder(order="deterministic").encode


def hashed(identifier: str) -> int:
    """What an identifier is looked up by: 64 bits, as a signed number."""
    return signed(xxhash.xxh3_64_intdigest(identifier.encode()))


def plain_kinds(rules: Rules) -> frozenset[str]:
    """Types whose values stand in columns of history just as events carry them."""
    types = {each.name: each for each in rules.identity.types}
    return frozenset(kind for kind in _PLAIN if kind not in types or not (types[kind].normalise or types[kind].fields))


def reading(rules: Rules) -> int:
    """The way in which rules read identifiers: rules of the same reading find the same ones in every event."""
    types = [
        (kind.name, kind.fields, kind.normalise, sorted(kind.blocked), sorted(kind.patterns))
        for kind in sorted(rules.identity.types, key=lambda each: each.name)
    ]
    identity = (types, sorted(rules.identity.blocked), sorted(rules.identity.patterns))
    return signed(xxhash.xxh3_64_intdigest(_encode((_VERSION, sorted(rules.blocked), rules.phone_region, identity))))


class Naming:
    """Reads events under some rules."""

    def __init__(self, rules: Rules) -> None:
        self.reading = reading(rules)
        self._find = finder_of(rules).find
        self._plain = plain_kinds(rules)
        paths = [path.split(".") for kind in rules.identity.types for path in kind.fields]
        self._of_properties, of_context = (_fields(paths, root) for root in ("properties", "context"))
        self._of_context = of_context | _PARTS
        self._properties, self._context = excerpt.objects(self._of_properties, of_context)
        self._always = len(self._plain) < len(_PLAIN) or any(path[0] not in _SEEN for path in paths)
        """Whether every event may name somebody by more than its plain ids."""

    def of(self, event: Event) -> Sequence[int]:
        """What it names beside the plain ids of its columns, each once."""
        context, properties = event.context, event.properties
        if not (
            event.type in _TELLING
            or (context and not self._of_context.isdisjoint(context))
            or (properties and not self._of_properties.isdisjoint(properties))
            or self._always
            or _is_padded(event.userId)
            or _is_padded(event.anonymousId)
        ):
            return ()
        read = Excerpt(
            event.type,
            messageId=event.messageId,
            userId=event.userId,
            anonymousId=event.anonymousId,
            previousId=event.previousId,
            groupId=event.groupId,
            event=event.event,
            traits=event.traits,
            properties=None if properties is None else msgspec.convert(properties, self._properties),
            context=None if context is None else msgspec.convert(context, self._context),
        )
        columns = {f"user_id:{event.userId}", f"anonymous_id:{event.anonymousId}"}
        return [
            hashed(each)
            for each in self._find(read).identifiers
            if each not in columns or namespace(each) not in self._plain
        ]


def _is_padded(value: Any) -> bool:
    """Whether an id stands in its column otherwise than it is spelled as an identifier."""
    return type(value) is str and (value[:1].isspace() or value[-1:].isspace())


_TELLING = ("identify", "alias")
_SEEN = ("properties", "context", "traits")
"""Where a field makes an event tell only if it is there, or if the event's type or context does."""


def _fields(paths: Iterable[list[str]], root: str) -> frozenset[str]:
    return frozenset(path[1] for path in paths if path[0] == root and len(path) > 1)
