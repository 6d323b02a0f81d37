"""Who would enter and who would leave an audience if what runs in shadow were live: two lists of members, side by side.

Both are in the order of profile ids, so one walk through them suffices, in memory that does not depend on their length.
It goes on while people move: who moves meanwhile is counted as before or as after.
"""

from collections.abc import Iterator

from msgspec import Struct, field

from onefold.model.definitions import shadow_name
from onefold.ports import State

PAGE = 10_000
"""Members that are read at once."""
SAMPLES = 10
_NOBODY = 1 << 64
"""Behind every profile."""


class Moves(Struct):
    """What promoting the shadow would do to an audience: exact counts, and the ids of some."""

    entering: int = 0
    leaving: int = 0
    staying: int = 0
    enter: list[int] = field(default_factory=list)
    leave: list[int] = field(default_factory=list)


def moves(state: State, audience: str, samples: int = SAMPLES) -> Moves:
    """Compare an audience's members with those of its shadow. O(members)."""
    found = Moves()
    live, shadow = member_ids(state, audience), member_ids(state, shadow_name(audience))
    one, other = next(live, _NOBODY), next(shadow, _NOBODY)
    while min(one, other) < _NOBODY:
        if one == other:
            found.staying += 1
            one, other = next(live, _NOBODY), next(shadow, _NOBODY)
        elif one < other:
            found.leaving += 1
            if len(found.leave) < samples:
                found.leave.append(one)
            one = next(live, _NOBODY)
        else:
            found.entering += 1
            if len(found.enter) < samples:
                found.enter.append(other)
            other = next(shadow, _NOBODY)
    return found


def member_ids(state: State, audience: str) -> Iterator[int]:
    """The ids of all members, ascending, read in pages."""
    after = -1
    while page := state.members(audience, after, PAGE):
        for profile, _ in page:
            yield profile
        after = page[-1][0]
