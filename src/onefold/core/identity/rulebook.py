"""What the rules of identity come to: each policy's preset with what a workspace says of it, ready for the step."""

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import NamedTuple

from onefold.limits import DAY_MS
from onefold.model.identity import NOTHING, Difference, IdentifierType, Identity, Policy, TraitRule

EVER_MS = 0
_ANY_NUMBER = 1 << 30
_PER_MS = {"ever": EVER_MS, "day": DAY_MS, "week": 7 * DAY_MS, "month": 30 * DAY_MS, "year": 365 * DAY_MS}


class Limit(NamedTuple):
    """At most so many values of a type a person."""

    most: int
    within_ms: int
    """Of those first seen so recently; `EVER_MS`: of all."""
    rule: str = ""
    """Its name where it keeps something out; empty: `most_` and the type."""

    @property
    def is_unique(self) -> bool:
        """One for ever."""
        return self.most == 1 and self.within_ms == EVER_MS


class Preset(NamedTuple):
    """What a policy says of types by itself."""

    unique: tuple[str, ...] = ()
    login: tuple[str, ...] = ()
    limits: Mapping[str, int] = {}
    limit: int = 0
    """Of every other type; 0: none."""
    fixed: bool = False
    """What is unique and what is a login is the policy's own, whatever the types say."""


_PRESETS: dict[Policy, Preset] = {
    "merge-any": Preset(unique=("user_id",)),
    "segment": Preset(limits={"user_id": 1}, limit=5),
    "adobe-graph-linking": Preset(unique=("user_id",)),
    "mparticle-default": Preset(unique=("user_id",), login=("user_id",), fixed=True),
    "mparticle-profile-conversion": Preset(unique=("user_id",), login=("user_id",)),
    "mparticle-link": Preset(unique=("user_id", "email"), login=("user_id", "email")),
    "mparticle-profile-isolation": Preset(unique=("user_id", "email"), login=("user_id", "email")),
    "mparticle-best-match": Preset(fixed=True),
}


class Rulebook(NamedTuple):
    """The rules of one workspace, as the step looks them up."""

    identity: Identity
    rank: dict[str, int]
    """Type → its place in the order of priority."""
    other_rank: int
    """That of a type that is not there."""
    unique: frozenset[str]
    login: frozenset[str]
    soft: frozenset[str]
    unless: Mapping[str, tuple[Difference, ...]]
    """Type that only joins who is not told apart → by what."""
    limits: dict[str, Limit]
    other_limit: Limit | None
    """Of a type that has none of its own."""
    traits: dict[str, TraitRule]
    """Traits of which more than the newest value counts."""

    @property
    def policy(self) -> Policy:
        """Which of the policies."""
        return self.identity.policy

    def limit_of(self, namespace: str) -> Limit | None:
        """How many values of a type one person may have."""
        return self.limits.get(namespace, self.other_limit)

    def order(self, identifiers: Iterable[str]) -> list[str]:
        """By priority; where that is equal, as they came, and with Segment's policy by the alphabet of their types."""
        if self.policy == "segment":
            return sorted(identifiers, key=lambda each: (self.rank_of(each), namespace(each)))
        return sorted(identifiers, key=self.rank_of)

    def rank_of(self, identifier: str) -> int:
        """The place of an identifier in the order of priority."""
        return self.rank.get(namespace(identifier), self.other_rank)

    def excess(self, whole: Mapping[str, int], parts: Iterable[Mapping[str, int]], now_ms: int) -> str | None:
        """The rule that one person with all identifiers of these parts (→ first seen) would break; None: there is none.

        A part that breaks a rule by itself, since the rules were others, or somebody has said so, breaks none anew.
        """
        for kind, count in self._counts(whole, now_ms).items():
            limit = self.limit_of(kind)
            assert limit is not None
            if count > limit.most and all(count > self._counts(part, now_ms).get(kind, 0) for part in parts):
                return limit.rule or f"most_{kind}"
        return None

    def _counts(self, identifiers: Mapping[str, int], now_ms: int) -> dict[str, int]:
        """How many of each limited type count now."""
        counts: dict[str, int] = {}
        limits, other = self.limits, self.other_limit
        for identifier, since_ms in identifiers.items():
            kind = identifier[: identifier.index(":")]
            limit = limits.get(kind, other)
            if limit is not None and (not limit.within_ms or since_ms > now_ms - limit.within_ms):
                counts[kind] = counts.get(kind, 0) + 1
        return counts

    def is_hard(self, identifiers: Iterable[str]) -> bool:
        """Whether one of them is not just something that may be shared."""
        return any(namespace(each) not in self.soft for each in identifiers)

    def logins(self, identifiers: Iterable[str]) -> list[str]:
        """Those of them that people log in with."""
        return [each for each in identifiers if namespace(each) in self.login]


def namespace(identifier: str) -> str:
    """The type of an identifier."""
    return identifier[: identifier.index(":")]


def one_of(kind: str) -> str:
    """The rule that a person has one value of this type."""
    return f"one_{kind}"


@lru_cache(maxsize=64)
def rulebook_of(identity: Identity) -> Rulebook | None:
    """The rules ready to be followed; None: nothing is said, and `core.identity.resolve` follows its own."""
    if identity == NOTHING:
        return None
    preset = _PRESETS[identity.policy]
    types = {each.name: each for each in identity.types}
    names = {*types, *preset.unique, *preset.login}
    unique = _chosen(names, types, preset, preset.unique, lambda each: each.unique)
    limits = {name: Limit(1, EVER_MS, one_of(name)) for name in unique}
    for name in names | preset.limits.keys():
        if name not in limits and (limit := _limit(name, types.get(name), preset)) is not None:
            limits[name] = limit
    return Rulebook(
        identity,
        *_ranks(identity),
        unique,
        _chosen(names, types, preset, preset.login, lambda each: each.login),
        frozenset(each.name for each in identity.types if each.soft),
        {each.name: each.unless for each in identity.types if each.unless},
        limits,
        Limit(preset.limit, EVER_MS) if preset.limit else None,
        {each.name: each for each in identity.traits if each.keep != "newest"},
    )


def _chosen(
    names: Iterable[str],
    types: Mapping[str, IdentifierType],
    preset: Preset,
    own: tuple[str, ...],
    said: Callable[[IdentifierType], bool | None],
) -> frozenset[str]:
    """The types of which something holds: as they say themselves, else as the policy has it."""
    found = set(own)
    for name in names:
        kind = types.get(name)
        if preset.fixed or kind is None or (answer := said(kind)) is None:
            continue
        found = found | {name} if answer else found - {name}
    return frozenset(found)


def _limit(name: str, kind: IdentifierType | None, preset: Preset) -> Limit | None:
    most = kind.limit if kind is not None and kind.limit is not None else preset.limits.get(name, preset.limit)
    per = "ever" if kind is None else kind.per
    rule = one_of(name) if (most, per) == (1, "ever") else ""
    return Limit(most or _ANY_NUMBER, _PER_MS[per], rule) if most or preset.limit else None


def _ranks(identity: Identity) -> tuple[dict[str, int], int]:
    """What is named comes first; of the rest what is built in where it is without rules, all others in its middle."""
    named = [each.name for each in identity.types]
    before, after = (_FIRST_OF_SEGMENT, ()) if identity.policy == "segment" else (_FIRST, _LAST)
    upper = [*named, *(name for name in before if name not in named)]
    lower = [name for name in after if name not in named]
    places = {name: place for place, name in enumerate(upper)}
    return places | {name: len(upper) + 1 + place for place, name in enumerate(lower)}, len(upper)


_FIRST, _LAST = ("user_id", "email", "phone"), ("device_id", "anonymous_id")
_FIRST_OF_SEGMENT = ("user_id", "email")
