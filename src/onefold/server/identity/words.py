"""Identity in words: rules, bonds and hindrances as sentences, for whoever reads an answer and not the code."""

from collections.abc import Callable

from onefold.limits import PROFILE_IDENTIFIERS_MAX
from onefold.model.entry import MATCHED
from onefold.model.sighting import Bond, Hindrance

_RULES = {
    "shared_event": "they came together in one event",
    "explicit": "somebody has said so",
    "newest_link": "the newest link wins",
    "login": "it went along with a login",
    "one_user_id": "a person has one user id",
    "most_identifiers": f"a profile holds no more than {PROFILE_IDENTIFIERS_MAX:,} identifiers",
    "soft_identifier": "what may be shared does not join two people who each have something of their own",
    "matched": "they are alike in what is known of them",
    "other_name": "what people share who are called otherwise does not join them",
    "other_birthday": "what people share who were born on another day does not join them",
    "shared": "what several people share does not join who may be any of them",
    "never_link": "somebody has said that they are never one person",
    "hot_identifier": "a value that has come with so many others joins nobody any more",
    "unmerged": "somebody has undone the link between them",
    "recast": "people were put together anew",
    "blocked": "the value identifies nobody",
}


def of_rule(rule: str) -> str:
    """What a rule says, as the end of a sentence; a rule that is not known by its name."""
    if rule in _RULES:
        return _RULES[rule]
    if rule.startswith(f"{MATCHED}:"):
        score = rule.split(":")[1]
        return f"{_RULES[MATCHED]}, with a probability of {score}"
    how, _, kind = rule.partition("_")
    if how == "one" and kind:
        return f"a person has one {kind}"
    if how == "most" and kind:
        return f"a person has no more {kind} than their limit"
    return rule


def of_bond(bond: Bond) -> str:
    """What ties two identifiers together."""
    said = f" ({bond.by})" if bond.by else ""
    return of_rule(bond.rule) + said


def of_hindrance(found: Hindrance) -> str:
    """Why two people are two, as far as this goes."""
    return _refused(found) if found.kind == "refused" else _OTHERS[found.kind](found)


_OTHERS: dict[str, Callable[[Hindrance], str]] = {
    "never": lambda found: f"{found.by or 'somebody'} has said that {_both(found)} are never one person",
    "undone": lambda found: f"{found.by or 'somebody'} has undone the link between {_both(found)}",
    "hot": lambda found: f"{_both(found)} came together, but {found.shared} is hot: {of_rule(found.rule)}",
    "moved": lambda found: f"{found.shared} was shared and has changed hands: {of_rule(found.rule)}",
    "alias": lambda found: (
        f"an alias named {found.a} and {found.b}, but a previous id is that of an anonymous visitor: "
        "`onefold identity link` joins two user ids"
    ),
    "third": lambda found: f"both have been seen with {found.shared}, which neither has",
    "blocked": lambda found: f"both have come with {found.shared}, which is blocked: it identifies nobody",
}


def _both(found: Hindrance) -> str:
    return f"{found.a or 'the one'} and {found.b or 'the other'}"


def _refused(found: Hindrance) -> str:
    together = f"{_both(found)} came together"
    if not found.rule:
        later = "; the next such event joins them" if found.would_join else ""
        return f"{together}, and were kept apart by rules that are no longer in force{later}"
    if found.told and found.would_join:
        return f"{together}, but {of_rule(found.rule)}; today nothing would keep them apart"
    return f"{together}, but {of_rule(found.rule)}"
