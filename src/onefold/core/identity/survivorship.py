"""Survivorship: how several values of one declared trait become the one that a profile shows.

A trait without a rule has the newest value, as `core.identity.merge.declare` keeps it. Of a trait with one, the
profile keeps what each part said last: a part is the event's first identifier, its source, or whether it was
verified, as the rule asks. Two profiles put their parts together, and the value is made from these alone. So it is
the same whatever the order of events and merges; of more than `TRAIT_PARTS_MAX` parts those that spoke last are kept,
which is so, too.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from onefold.core.batch import Incoming
from onefold.language.values import identical, number
from onefold.limits import TRAIT_PARTS_MAX, UNIQUE_VALUES_MAX
from onefold.model.identity import Keep, TraitRule
from onefold.model.profile import Declared, Profile

Parts = dict[str, Declared]
"""Whose word → what it was last."""

ALL = ""
"""The only part of a trait that needs no more than one value; and what was said before there was a rule."""
_VERIFIED, _SAID = "verified", "said"
_SUFFIX = "_verified"
"""Beside `email` an event may say `email_verified: true`, as OpenID Connect has it."""

_encode = msgspec.json.Encoder(order="deterministic").encode


def part_of(rule: TraitRule, incoming: Incoming, traits: Mapping[str, Any]) -> str:
    """Whose word an event's is."""
    if rule.keep in _OF_ONE:
        return ALL
    if rule.keep == "source-order":
        return incoming.source
    if rule.keep == "verified-first":
        return _VERIFIED if traits.get(rule.name + _SUFFIX) is True else _SAID
    return incoming.who.identifiers[0] if incoming.who.identifiers else ALL


def hear(profile: Profile, rule: TraitRule, part: str, said: Declared) -> bool:
    """Note what a part said; True where the profile shows another value than before."""
    parts = _parts(profile, rule)
    parts[part] = _pick(rule, parts.get(part), said)
    return _show(profile, rule, parts)


def put_together(keep: Profile, gone: Profile, rule: TraitRule) -> bool:
    """Put what `gone` has heard of a trait to what `keep` has; True where that shows another value than before."""
    if rule.name not in gone.declared:
        return False
    parts = _parts(keep, rule)
    for part, said in _parts(gone, rule).items():
        parts[part] = _pick(rule, parts.get(part), said)
    return _show(keep, rule, parts)


def _parts(profile: Profile, rule: TraitRule) -> Parts:
    """What has been heard of a trait, to be added to; before there was a rule, what the profile shows."""
    all_parts = profile.noted().parts
    key = f"{rule.keep}:{rule.name}"
    if key not in all_parts:
        before = profile.declared.get(rule.name)
        first = _SAID if rule.keep == "verified-first" else ALL
        all_parts[key] = {} if before is None else {first: before}
    return all_parts[key]


def _pick(rule: TraitRule, one: Declared | None, other: Declared) -> Declared:
    if one is None:
        return other
    rank = _OF_ONE.get(rule.keep, _newest)
    return max(one, other, key=rank)


def _show(profile: Profile, rule: TraitRule, parts: Parts) -> bool:
    while len(parts) > TRAIT_PARTS_MAX:
        del parts[min(parts, key=lambda part: (*_newest(parts[part]), part))]
    shown = _MADE[rule.keep](rule, parts)
    before = profile.declared.get(rule.name)
    profile.declared[rule.name] = shown
    return before is None or not identical(before.value, shown.value)


# --- which of two values of one part -------------------------------------------------------------------------


def _newest(said: Declared) -> tuple[int, bytes]:
    return said.at_ms, said.tie


def _oldest(said: Declared) -> tuple[int, bytes]:
    return -said.at_ms, bytes(255 - each for each in said.tie)


def _largest(said: Declared) -> tuple[Any, ...]:
    """Numbers before texts before everything else; of equal ones the newest."""
    return (*_size(said.value), *_newest(said))


def _smallest(said: Declared) -> tuple[Any, ...]:
    kind, value, text = _size(said.value)
    return (kind, -value, _Backwards(text), *_newest(said))


def _size(value: Any) -> tuple[int, float, str]:
    if (as_number := number(value)) is not None:
        return 2, as_number, ""
    return (1, 0, value) if isinstance(value, str) else (0, 0, _encode(value).decode())


class _Backwards(str):
    """A text that is larger where it comes earlier in the alphabet."""

    __slots__ = ()

    def __lt__(self, other: str) -> bool:
        return str.__gt__(self, other)

    def __gt__(self, other: str) -> bool:
        return str.__lt__(self, other)


_OF_ONE: dict[Keep, Callable[[Declared], tuple[Any, ...]]] = {"oldest": _oldest, "max": _largest, "min": _smallest}
"""What needs one value only: the largest by this order."""


# --- one value of all parts ----------------------------------------------------------------------------------


def _the_one(_: TraitRule, parts: Parts) -> Declared:
    return parts[ALL]


def _latest(said: Iterable[Declared]) -> Declared:
    return max(said, key=_newest)


def _by_source(rule: TraitRule, parts: Parts) -> Declared:
    for source in rule.sources:
        if source in parts:
            return parts[source]
    return _latest(parts.values())


def _verified(_: TraitRule, parts: Parts) -> Declared:
    return parts.get(_VERIFIED) or _latest(parts.values())


def _in_order(parts: Parts) -> list[Declared]:
    """The newest word first."""
    return sorted(parts.values(), key=_newest, reverse=True)


def _sum(_: TraitRule, parts: Parts) -> Declared:
    """Of all that are numbers; where none is, the newest value."""
    latest = _latest(parts.values())
    numbers = [each for said in parts.values() if (each := number(said.value)) is not None]
    if not numbers:
        return latest
    whole = all(type(each) is int for each in numbers)
    try:
        total = number(sum(numbers) if whole else math.fsum(numbers))
    except OverflowError:
        total = None
    return latest._replace(value=total) if total is not None else latest


def _union(_: TraitRule, parts: Parts) -> Declared:
    """Every element of lists, and every other value, once."""
    values = [each for said in _in_order(parts) for each in (said.value if type(said.value) is list else [said.value])]
    return _latest(parts.values())._replace(value=_once(values))


def _both(_: TraitRule, parts: Parts) -> Declared:
    return _latest(parts.values())._replace(value=_once([said.value for said in _in_order(parts)]))


def _once(values: list[Any]) -> list[Any]:
    first: dict[bytes, Any] = {}
    for each in values:
        first.setdefault(_encode(each), each)
    return list(first.values())[:UNIQUE_VALUES_MAX]


def _commonest(_: TraitRule, parts: Parts) -> Declared:
    """What most parts say; of equally many, what was said last."""
    votes = Counter(_encode(said.value) for said in parts.values())
    return max(parts.values(), key=lambda said: (votes[_encode(said.value)], *_newest(said)))


_MADE: dict[Keep, Callable[[TraitRule, Parts], Declared]] = {
    "oldest": _the_one,
    "max": _the_one,
    "min": _the_one,
    "sum": _sum,
    "union": _union,
    "source-order": _by_source,
    "verified-first": _verified,
    "most-frequent": _commonest,
    "keep-both": _both,
}
