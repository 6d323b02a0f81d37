"""The `identity:` section of a workspace, read into rules, with every mistake where it stands; docs/identity.md."""

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, cast

from onefold.language.reading.parse import UNREADABLE
from onefold.language.scalars.patterns import why_not
from onefold.language.suggest import nearest
from onefold.limits import (
    HOT_OTHERS,
    IDENTIFIER_TYPES_MAX,
    IDENTITY_BLOCKED_MAX,
    IDENTITY_FIELDS_MAX,
    IDENTITY_PATTERNS_MAX,
    PROFILE_IDENTIFIERS_MAX,
    TRAIT_RULES_MAX,
)
from onefold.model.identity import (
    BUILT_IN,
    DIFFERENCES,
    KEEPS,
    NORMALISERS,
    PERS,
    POLICIES,
    SHIPPED_BLOCKED,
    SHIPPED_PATTERNS,
    Difference,
    IdentifierType,
    Identity,
    Keep,
    Matching,
    Normaliser,
    Per,
    Policy,
    TraitRule,
)
from onefold.runtime.defining.yaml_tree import Items, Pairs, Text, Tree

_PARTS = ("policy", "types", "blocked", "shipped", "hot", "traits", "matching")
_OF_MATCHING = ("link", "review")
_SHARE = re.compile(r"(0(\.[0-9]{1,6})?|1(\.0{1,6})?)")
_LEAST_LINK, _LEAST_REVIEW = 0.5, 0.01
_OF_TYPE = ("from", "normalise", "blocked", "limit", "unique", "login", "soft", "unless")
_OF_TRAIT = ("keep", "sources")
_ROOTS = ("userId", "anonymousId", "groupId", "traits", "context", "properties")
_SINGLE = ("userId", "anonymousId", "groupId")
_READ_BY_NAME = ("context", "properties")
_TYPE_NAME = re.compile(r"[a-z][a-z0-9_.-]{0,63}")
_PATH = re.compile(r"[A-Za-z]+(\.[^.\s]+)*")
_HOT_LEAST = 2
_LIMIT = re.compile(r"([0-9]{1,4})(?:\s+(?:per\s+)?([a-z]+))?")
_WITHOUT_LIMITS: tuple[Policy, ...] = (
    "adobe-graph-linking", "mparticle-default", "mparticle-profile-conversion", "mparticle-link",
    "mparticle-profile-isolation", "mparticle-best-match",
)  # fmt: skip
"""Policies that know unique types, but no other limits."""


class Reading(NamedTuple):
    """What reading a file gives to whoever reads one of its sections."""

    pairs: Callable[[Tree, str], Iterable[tuple[Text, Tree]]]
    """Keys and values of a mapping, which is called so in messages."""
    unknown: Callable[[Text, str, Iterable[str]], None]
    """There is no such key in what is called so; there are these."""
    wrong: Callable[..., None]
    """A mistake: code, message, where it stands, and what to write instead."""


class _Values(NamedTuple):
    """Values that identify nobody, exact ones and patterns."""

    exact: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()


class IdentityReader:
    """Reads one section."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._blocked = 0

    def read(self, tree: Tree) -> Identity:
        """The rules, as far as they are right."""
        found: dict[str, Tree] = {}
        for key, value in self._reading.pairs(tree, "`identity`"):
            if key.value in _PARTS:
                found[key.value] = value
            else:
                self._reading.unknown(key, "`identity`", _PARTS)
        policy = cast("Policy", self._one_of(found.get("policy"), POLICIES, "policy", "merge-any"))
        blocked = self._values(found.get("blocked"))
        if self._yes_no(found.get("shipped"), default=True):
            blocked = _Values((*SHIPPED_BLOCKED, *blocked.exact), (*SHIPPED_PATTERNS, *blocked.patterns))
        types = tuple(self._types(found.get("types"), policy))
        traits = tuple(self._traits(found.get("traits")))
        if self._blocked > IDENTITY_BLOCKED_MAX:
            message = f"{self._blocked} values are blocked; {IDENTITY_BLOCKED_MAX} are allowed: use patterns"
            self._reading.wrong("too_large", message, tree)
        matching = self._matching(found.get("matching"))
        return Identity(policy, types, *blocked, hot=self._hot(found.get("hot")), traits=traits, matching=matching)

    # --- types of identifiers ----------------------------------------------------------------------------------
    def _types(self, tree: Tree | None, policy: Policy) -> Iterator[IdentifierType]:
        if tree is None:
            return
        for number, (key, value) in enumerate(self._reading.pairs(tree, "`types`")):
            if number == IDENTIFIER_TYPES_MAX:
                self._reading.wrong("too_large", f"there are more than {IDENTIFIER_TYPES_MAX} types", key)
                return
            if _TYPE_NAME.fullmatch(key.value):
                yield self._type(key, value, policy)
            else:
                message = "a type of identifier is made of a-z, 0-9, `_`, `.` and `-`, and begins with a letter"
                self._reading.wrong("name", message, key, re.sub(r"[^a-z0-9_.-]+", "_", key.value.lower()))

    def _type(self, key: Text, tree: Tree, policy: Policy) -> IdentifierType:
        found: dict[str, Any] = {}
        if isinstance(tree, Text) and not tree.value:
            return IdentifierType(key.value)
        readers: dict[str, tuple[str, Callable[[Tree], Any]]] = {
            "from": ("fields", self._fields),
            "normalise": ("normalise", self._normaliser),
            "limit": ("limit", self._limit),
            "unique": ("unique", self._yes_no),
            "login": ("login", self._yes_no),
            "soft": ("soft", self._yes_no),
            "unless": ("unless", self._differences),
        }
        for field, value in self._reading.pairs(tree, f"`{key.value}`"):
            if field.value == "blocked":
                found["blocked"], found["patterns"] = self._values(value)
            elif field.value in readers:
                name, read = readers[field.value]
                if (content := read(value)) is not None:
                    found[name] = content
                self._fits(field, policy)
            else:
                self._reading.unknown(field, f"`{key.value}`", _OF_TYPE)
        if "limit" in found:
            found["limit"], found["per"] = found["limit"]
        if found.get("unique") and found.get("limit", 1) != 1:
            self._reading.wrong("value", f"`{key.value}` is unique, which is a limit of 1 for ever", key)
        if key.value not in BUILT_IN and not found.get("fields"):
            found["fields"] = ()  # It comes in `context.externalIds` alone.
        return IdentifierType(key.value, **found)

    def _fits(self, field: Text, policy: Policy) -> None:
        """Whether the policy knows what is said of a type: nothing that is said may be without effect."""
        if field.value in ("limit", "soft", "unless") and policy in _WITHOUT_LIMITS:
            message = f"the policy `{policy}` has no `{field.value}` of types; it has `unique`"
            self._reading.wrong("value", message, field)
        elif field.value == "login" and not policy.startswith("mparticle-"):
            self._reading.wrong("value", f"the policy `{policy}` has no `login`; those of mParticle have", field)
        elif field.value in ("unique", "login") and policy in ("mparticle-default", "mparticle-best-match"):
            message = f"the policy `{policy}` says itself what is `{field.value}`"
            self._reading.wrong("value", message, field, "policy: mparticle-profile-conversion")

    def _differences(self, tree: Tree) -> tuple[Difference, ...]:
        texts = self._texts(tree, f"differences that tell people apart: {', '.join(DIFFERENCES)}")
        found = [self._one_of(text, DIFFERENCES, "difference", None) for text in texts]
        return tuple(each for each in DIFFERENCES if each in found)

    def _fields(self, tree: Tree) -> tuple[str, ...]:
        texts = self._texts(tree, "fields of events, such as `properties.card`")
        if len(texts) > IDENTITY_FIELDS_MAX:
            self._reading.wrong("too_large", f"a type is read from at most {IDENTITY_FIELDS_MAX} fields", tree)
        return tuple(text.value for text in texts if self._is_field(text))

    def _is_field(self, text: Text) -> bool:
        root, _, rest = text.value.partition(".")
        if not _PATH.fullmatch(text.value) or root not in _ROOTS:
            message = f"`{text.value}` is no field that identifies somebody; they begin with {', '.join(_ROOTS)}"
            near = nearest(root, _ROOTS)
            self._reading.wrong("value", message, text, f"{near}.{rest}" if near and rest else near)
            return False
        if (root in _SINGLE) == bool(rest):
            message = f"`{root}` is one value" if rest else f"`{root}` has fields: say which, as in `{root}.card`"
            self._reading.wrong("value", message, text, root if rest else "")
            return False
        if root in _READ_BY_NAME and UNREADABLE.search(rest.partition(".")[0]):
            self._reading.wrong("value", "a field's name holds no quote, backslash or control character here", text, "")
            return False
        return True

    def _normaliser(self, tree: Tree) -> Normaliser | None:
        return cast("Normaliser | None", self._one_of(tree, NORMALISERS, "way to normalise", None))

    def _limit(self, tree: Tree) -> tuple[int, Per] | None:
        """`3`, `3 ever`, `3 per year`."""
        found = _LIMIT.fullmatch(tree.value) if isinstance(tree, Text) else None
        if found is None:
            self._reading.wrong("value", "here stands a number, or one like `5 per month`", tree)
            return None
        most, per = int(found[1]), found[2] or "ever"
        if per not in PERS:
            message = f"a limit holds for ever, or per {', '.join(PERS[1:])}"
            near = nearest(per, PERS)
            self._reading.wrong("value", message, tree, f"{most} per {near}" if near else "")
            return None
        if most >= PROFILE_IDENTIFIERS_MAX:
            self._reading.wrong("value", f"a person has at most {PROFILE_IDENTIFIERS_MAX} identifiers", tree)
            return None
        return most, cast("Per", per)

    def _hot(self, tree: Tree | None) -> int:
        if tree is None:
            return HOT_OTHERS
        if isinstance(tree, Text) and tree.value == "never":
            return 0
        if isinstance(tree, Text) and re.fullmatch(r"[0-9]{1,4}", tree.value) and int(tree.value) >= _HOT_LEAST:
            return int(tree.value)
        self._reading.wrong("value", "here stands how many others make a value hot (2 to 9999), or `never`", tree)
        return HOT_OTHERS

    # --- traits ------------------------------------------------------------------------------------------------
    def _traits(self, tree: Tree | None) -> Iterator[TraitRule]:
        if tree is None:
            return
        for number, (key, value) in enumerate(self._reading.pairs(tree, "`traits`")):
            if number == TRAIT_RULES_MAX:
                self._reading.wrong("too_large", f"there are rules for more than {TRAIT_RULES_MAX} traits", key)
                return
            yield self._trait(key, value)

    def _trait(self, key: Text, tree: Tree) -> TraitRule:
        if not isinstance(tree, Pairs):
            return TraitRule(key.value, self._keep(tree))
        keep: Keep = "newest"
        sources: tuple[str, ...] = ()
        for field, value in self._reading.pairs(tree, f"`{key.value}`"):
            if field.value == "keep":
                keep = self._keep(value)
            elif field.value == "sources":
                sources = tuple(text.value for text in self._texts(value, "names of sources"))
            else:
                self._reading.unknown(field, f"`{key.value}`", _OF_TRAIT)
        if (keep == "source-order") != bool(sources):
            message = f"`{key.value}` is kept by `source-order` together with `sources`, the most trusted first"
            self._reading.wrong("value", message, key, f"{key.value}: {{keep: source-order, sources: [crm]}}")
        return TraitRule(key.value, keep, sources)

    def _keep(self, tree: Tree) -> Keep:
        return cast("Keep", self._one_of(tree, KEEPS, "way to keep one of several values", "newest"))

    # --- matching ----------------------------------------------------------------------------------------------
    def _matching(self, tree: Tree | None) -> Matching:
        if tree is None:
            return Matching()
        found: dict[str, float] = {}
        for field, value in self._reading.pairs(tree, "`matching`"):
            if field.value in _OF_MATCHING:
                least = _LEAST_LINK if field.value == "link" else _LEAST_REVIEW
                found[field.value] = self._share(field, value, least)
            else:
                self._reading.unknown(field, "`matching`", _OF_MATCHING)
        if 0 < found.get("link", 0) < found.get("review", 0):
            message = "who is linked without asking is surer than who is asked about: `link` is at least `review`"
            self._reading.wrong("value", message, tree)
        return Matching(**found)

    def _share(self, field: Text, tree: Tree, least: float) -> float:
        text = tree.value if isinstance(tree, Text) else ""
        if field.value == "link" and text == "never":
            return 0.0
        if _SHARE.fullmatch(text) and float(text) >= least:
            return float(text)
        self._reading.wrong("value", f"`{field.value}` is a probability from {least} to 1, such as 0.98", tree)
        return 0.0

    # --- values --------------------------------------------------------------------------------------------------
    def _values(self, tree: Tree | None) -> _Values:
        """A list of values; one between slashes is a pattern."""
        if tree is None:
            return _Values()
        exact: list[str] = []
        patterns: list[str] = []
        for text in self._texts(tree, "values, or patterns between slashes"):
            value = text.value
            if len(value) > 2 and value[0] == value[-1] == "/":
                patterns.append(value[1:-1])
                if reason := why_not(value[1:-1]):
                    self._reading.wrong("value", f"this is no pattern: {reason}", text)
                    patterns.pop()
            else:
                exact.append(value.strip().lower())
        self._blocked += len(exact)
        if len(patterns) > IDENTITY_PATTERNS_MAX:
            self._reading.wrong("too_large", f"at most {IDENTITY_PATTERNS_MAX} patterns stand here", tree)
        return _Values(tuple(exact), tuple(patterns))

    def _texts(self, tree: Tree, what: str) -> list[Text]:
        items = [tree] if isinstance(tree, Text) else tree.items if isinstance(tree, Items) else None
        if items is None:
            self._reading.wrong("value", f"here stands a list of {what}", tree)
            return []
        for item in items:
            if not isinstance(item, Text):
                self._reading.wrong("value", f"here stand {what}", item)
        return [item for item in items if isinstance(item, Text)]

    def _one_of(self, tree: Tree | None, known: tuple[str, ...], what: str, default: str | None) -> str | None:
        if tree is None:
            return default
        if isinstance(tree, Text) and tree.value in known:
            return tree.value
        said = tree.value if isinstance(tree, Text) else ""
        message = f"there is no {what} `{said}`; there are {', '.join(known)}"
        self._reading.wrong("value", message, tree, nearest(said, known) if said else "")
        return default

    def _yes_no(self, tree: Tree | None, *, default: bool | None = None) -> bool | None:
        if tree is None:
            return default
        if isinstance(tree, Text) and tree.style == "" and tree.value in ("true", "false"):
            return tree.value == "true"
        self._reading.wrong("value", "here stands `true` or `false`, without quotes", tree)
        return default
