"""Notes: what only rules of identity ask of a profile, when two profiles become one."""

from typing import TypeVar

from onefold.core.identity import parting
from onefold.core.run import Run
from onefold.limits import SEEN_MAX, WORDS_MAX
from onefold.model.profile import Profile

HOT_MEMBERS = "@hot"
"""Whoever has a hot identifier is a member of this, which no definition can be called."""

Value = TypeVar("Value")


def merge_notes(run: Run, keep: Profile, gone: Profile) -> None:
    """Add the notes of `gone` to those of `keep`, which has its identifiers already. Commutative and associative."""
    mine, other = keep.noted(), gone.noted()
    seen = _latest(mine.seen, other.seen)
    mine.seen = {name: seen[name] for name in latest(seen) if name not in keep.identifiers}
    mine.former = _latest(mine.former, other.former)
    mine.hot = {name: min(at, mine.hot.get(name, at)) for name, at in (mine.hot | other.hot).items()}
    mine.full = _latest(mine.full, other.full)
    for name, met in other.met.items():
        mine.met[name] = mine.met.get(name, 0) + met
    mine.never = sorted({*mine.never, *other.never})
    for name, ends in other.ties.items():
        mine.ties[name] = _latest(mine.ties.get(name, {}), ends)
    if other.apart or other.loose or other.undone:
        parting.merge(mine, other)
    for key, parts in other.parts.items():  # Those of rules in force are put together already.
        mine.parts.setdefault(key, parts)
    if other.words:  # Both may have heard the same.
        mine.words = sorted({*mine.words, *other.words})[-WORDS_MAX:]
    if other.hot:
        run.members[HOT_MEMBERS][gone.id] = 0
        run.members[HOT_MEMBERS][keep.id] = min(mine.hot.values())


def latest(seen: dict[str, int]) -> list[str]:
    """The names of the `SEEN_MAX` that were seen last."""
    return sorted(seen, key=lambda each: (seen[each], each))[-SEEN_MAX:]


def _latest(one: dict[str, int], other: dict[str, int]) -> dict[str, int]:
    return {name: max(one.get(name, 0), other.get(name, 0)) for name in sorted({*one, *other})}
