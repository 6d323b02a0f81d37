"""What a workspace says of identity: which fields identify people, and when identifiers are one person.

Part of the definitions: it comes into force with the entry of the log that puts them there, and lies among the rules of
every partition from then on (`model.rules`). `core.identity.rulebook` makes of it what the step follows.
"""

from typing import Literal, get_args

from msgspec import Struct

Policy = Literal[
    "merge-any",
    "segment",
    "adobe-graph-linking",
    "mparticle-default",
    "mparticle-profile-conversion",
    "mparticle-link",
    "mparticle-profile-isolation",
    "mparticle-best-match",
]
"""Who an event is of, and what its identifiers may join: presets of one engine (docs/identity.md)."""

Per = Literal["ever", "day", "week", "month", "year"]
"""Within what time a limit counts identifiers, by when each was first seen with the person."""

Normaliser = Literal["", "none", "lower", "email", "mailbox", "phone", "digits", "alphanumeric"]
"""How a value becomes its one spelling; empty: as the built-in type of this name, else `none`."""

Keep = Literal[
    "newest", "oldest", "max", "min", "sum", "union", "source-order", "verified-first", "most-frequent", "keep-both"
]
"""How several values of one declared trait become one."""

Difference = Literal["name", "birthday", "shared"]
"""By what two people are told apart who share a phone or an address of mail; `shared`: by its having done so before."""

POLICIES: tuple[Policy, ...] = get_args(Policy)
PERS: tuple[Per, ...] = get_args(Per)
NORMALISERS: tuple[Normaliser, ...] = get_args(Normaliser)[1:]
KEEPS: tuple[Keep, ...] = get_args(Keep)
DIFFERENCES: tuple[Difference, ...] = get_args(Difference)

BUILT_IN = ("user_id", "email", "phone", "device_id", "anonymous_id")
"""Types that events carry without anybody saying where, in the order of their priority."""

SHIPPED_BLOCKED = (
    "-", "-1", "0", "anonymous", "false", "guest", "n/a", "nan", "nil", "none", "null", "test", "true", "undefined",
    "unknown", "void", "[object object]",
)  # fmt: skip
"""Values that identify nobody anywhere; a workspace has them unless it says `shipped: false`."""

SHIPPED_PATTERNS = (r"^[0\-. ]+$", r"^x+$", r"^test@", r"@test\.[a-z]+$", r"^no-?reply@")
"""The same as patterns: nothing but zeros and dashes, made-up mailboxes, and those of machines."""


class IdentifierType(Struct, frozen=True, omit_defaults=True):
    """One namespace of identifiers. None: as the policy has it."""

    name: str
    fields: tuple[str, ...] = ()
    """Where events carry it, such as `properties.card`; empty: where the built-in type of this name is.

    Whatever is said here, `context.externalIds` of this type are identifiers, too.
    """
    normalise: Normaliser = ""
    blocked: tuple[str, ...] = ()
    """Values, lower case, that identify nobody."""
    patterns: tuple[str, ...] = ()
    """Regular expressions over the lower-case value, that identify nobody."""
    limit: int | None = None
    """At most so many values a person, of those first seen `per`; 0: any number."""
    per: Per = "ever"
    unique: bool | None = None
    """At most one value a person, for ever."""
    login: bool | None = None
    """A person who has one is known, and is found by such a one alone (policies of mParticle)."""
    soft: bool = False
    """What may be shared: it never makes one person of two who both have something that is not soft."""
    unless: tuple[Difference, ...] = ()
    """It joins nobody with somebody who is known by another name, or to be born on another day.

    Nor, where that is said, once it has been kept from somebody, whom nothing shows to be the one who has it.
    """


class TraitRule(Struct, frozen=True, omit_defaults=True):
    """How several values of a declared trait become one."""

    name: str
    keep: Keep = "newest"
    sources: tuple[str, ...] = ()
    """For `source-order`: whose word counts first; sources that are not named come last, the newest value first."""


class Matching(Struct, frozen=True, omit_defaults=True):
    """What becomes of two profiles that are alike though they share no identifier (`matching`)."""

    link: float = 0.0
    """From this probability on they are linked; 0: nobody is without somebody's word."""
    review: float = 0.0
    """From this on somebody is asked; 0: as the settings have it."""


class Identity(Struct, frozen=True, omit_defaults=True):
    """All of it. The defaults are what a workspace has that says nothing."""

    policy: Policy = "merge-any"
    types: tuple[IdentifierType, ...] = ()
    """By priority: the first that an event has says whose it is. Types that are not named come after, as built in."""
    blocked: tuple[str, ...] = ()
    """Values, lower case, that identify nobody, whatever their type."""
    patterns: tuple[str, ...] = ()
    hot: int = 0
    """A value that so many others have shared events with joins nobody any more; 0: it goes on."""
    traits: tuple[TraitRule, ...] = ()
    matching: Matching = Matching()


NOTHING = Identity()
