"""Random rules of identity, which meet each other: limits, soft and blocked values, hot ones, every policy."""

import random

from onefold.model.identity import POLICIES, Difference, IdentifierType, Identity, Per, Policy, TraitRule

_TYPES = ("user_id", "email", "phone", "device_id", "anonymous_id", "card")
_DIFFERENCES: tuple[Difference, ...] = ("name", "birthday")
"""Without `shared`: a past that is gone through again knows what is shared before events have shown it."""
_PERS: tuple[Per, ...] = ("ever", "day", "week")
_BLOCKED = ("kiosk", "u1", "family@acme.com", "a0")
_TRAITS = (TraitRule("plan", "most-frequent"), TraitRule("points", "sum"), TraitRule("email", "verified-first"))


def random_identity(seed: int, *, blocking: bool = True, traits: bool = False) -> Identity:
    """Rules that a workspace may have. `blocking`: also values that identify nobody."""
    chance = random.Random(seed)  # noqa: S311 (to be replayed, not to be secret)
    policy = chance.choice(POLICIES)
    names = chance.sample(_TYPES, chance.randint(0, len(_TYPES)))
    return Identity(
        policy,
        tuple(_type(chance, name, policy) for name in names),
        blocked=tuple(chance.sample(_BLOCKED, chance.randint(0, 2))) if blocking and chance.random() < 0.4 else (),
        patterns=("^a0",) if blocking and chance.random() < 0.2 else (),
        hot=chance.choice((0, 2, 4, 6)) if policy in ("merge-any", "segment") else 0,
        traits=_TRAITS if traits else (),
    )


def _type(chance: random.Random, name: str, policy: Policy) -> IdentifierType:
    limited = policy in ("merge-any", "segment") and chance.random() < 0.5
    fixed = policy in ("mparticle-default", "mparticle-best-match")
    login = chance.choice((None, True, False)) if policy.startswith("mparticle") and not fixed else None
    fields = ("properties.card", "context.card", "traits.loyalty.card") if name == "card" else ()
    return IdentifierType(
        name,
        fields=fields,
        normalise="mailbox" if name == "email" and chance.random() < 0.3 else "",
        limit=chance.randint(1, 3) if limited else None,
        per=chance.choice(_PERS) if limited else "ever",
        unique=None if fixed or limited else chance.choice((None, None, True, False)),
        login=login,
        soft=policy in ("merge-any", "segment") and chance.random() < 0.3,
        unless=tuple(chance.sample(_DIFFERENCES, 1)) if _may_differ(policy) and chance.random() < 0.3 else (),
    )


def _may_differ(policy: Policy) -> bool:
    return policy in ("merge-any", "segment")
