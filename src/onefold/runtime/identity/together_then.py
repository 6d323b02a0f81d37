"""Who was one with somebody at an instant: merges that held then, also those that somebody has undone since.

What was told then is told of then: people who were taken apart later were one person, with each other's events.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from onefold.model import profile as profiles
from onefold.model.past import PastMerge, PastRecast, ended, survivors
from onefold.model.profile import Profile
from onefold.ports import HistoryReader, LogReader, State
from onefold.runtime.history import recasts as history_recasts
from onefold.runtime.past.late_effects import Late, late_effects

Place = tuple[int, int]


class Together(NamedTuple):
    """What has become of those who were one with somebody, or have become one with them since."""

    people: list[Profile]
    merges: list[PastMerge]
    owners: Mapping[Place, int]
    """Events that were another's then than they are now → whose they were."""

    def ids(self) -> set[int]:
        """All ids that they have ever had."""
        return {one for profile in self.people for one in _ids(profile)}


class Engines(NamedTuple):
    """What is read."""

    history: HistoryReader
    log: LogReader
    state: State


def together(engines: Engines, now: Profile, at_ms: int) -> Together:
    """Those who were one with `now` at this instant (log time). Raises `NotInHistory`, `StorageError` and its kin."""
    late = late_effects(engines.state, engines.history.cursor(), at_ms)
    recasts = [*engines.history.recasts(), *history_recasts.since(engines.state, engines.log, engines.history.cursor())]
    if not recasts:
        return Together([now], _merges(engines, late, _ids(now) - {now.id}, []), {})
    back = {each.profile for each in recasts if each.event_partition < 0}
    people = {now.id: now}
    while True:
        ids = {one for profile in people.values() for one in _ids(profile)}
        merges = _merges(engines, late, ids | back, recasts)
        owners = survivors(merges, at_ms)
        roots = {owners.get(one, one) for one in ids}
        linked = {one for one in {*owners, *owners.values()} if owners.get(one, one) in roots} - ids
        found = [profiles.decode(data) for data in engines.state.survivors(linked).values()]
        more = {profile.id: profile for profile in found if profile.id not in people}
        if not more:
            return Together([*people.values()], merges, _owners_then(recasts, at_ms))
        people |= more


def _ids(profile: Profile) -> set[int]:
    return {profile.id, *(merge.absorbed for merge in profile.merges)}


def _merges(
    engines: Engines, late: Late, absorbed: Collection[int], recasts: Collection[PastRecast]
) -> list[PastMerge]:
    """By which these have ended, also what history does not have yet."""
    if not absorbed:
        return []
    merges = [*engines.history.merges(absorbed), *(merge for merge in late.merges if merge.absorbed in absorbed)]
    return ended(merges, list(recasts))


def _owners_then(recasts: Iterable[PastRecast], at_ms: int) -> dict[Place, int]:
    """Of events that recasts after an instant have made another's: whose they were then."""
    owners: dict[Place, int] = {}
    for each in sorted(recasts, key=lambda one: one.seq, reverse=True):
        if each.event_partition >= 0 and each.at_ms > at_ms:
            owners[each.event_partition, each.event_position] = each.former
    return owners
