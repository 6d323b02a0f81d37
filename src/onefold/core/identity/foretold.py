"""Foretold: whose every event is, as a regrouping has found it, for who folds some people's events again.

So people come out who are, with their traits and memberships, just those that were foretold, whoever else there is
that rules have kept out: nobody is resolved twice.
"""

from collections.abc import Collection

from msgspec import structs

from onefold.core.batch import Incoming
from onefold.core.identity import linking
from onefold.core.identity.merge import absorb
from onefold.core.identity.notes import HOT_MEMBERS
from onefold.core.identity.regroup import Joining, Regrouping
from onefold.core.run import Run
from onefold.errors import Conflict
from onefold.language.stream.program import IDENTITY
from onefold.model.position import profile_id
from onefold.model.profile import Notes, Profile, Word


class Foretold:
    """What is foretold of some people, who share no event with others."""

    def __init__(self, people: Regrouping, ids: Collection[int]) -> None:
        self._people = people
        self._ids = ids
        self._joinings: dict[tuple[int, int], list[Joining]] = {}
        """(partition, position) → who become one there, in that order."""
        found = [people.joinings[merge.absorbed] for one in ids for merge in people.people[one].merges]
        for each in sorted(found, key=lambda joining: joining.number):
            self._joinings.setdefault(each.at[1:], []).append(each)

    @property
    def words(self) -> list[Word]:
        """Where no event, but somebody's word has made people one."""
        return [
            Word(*each[0].at, each[0].a, each[0].b, "", never=False)
            for place, each in self._joinings.items()
            if self._people.whose(*place) is None
        ]

    def join(self, run: Run, said: Word) -> None:
        """Let that happen."""
        for each in self._joinings[said.partition, said.position]:
            self._absorb(run, each)

    def resolve(self, run: Run, incoming: Incoming) -> Profile:
        """The profile that the event is of."""
        for each in self._joinings.get((run.partition, incoming.position), ()):
            for each_one in (each.survivor, each.absorbed):
                self._there(run, incoming, each_one)
            self._absorb(run, each)
        one = self._people.whose(run.partition, incoming.position)
        assert one, "an event that is nobody's, or was never gone through"
        return linking.take(run, self._there(run, incoming, one))

    def finish(self, run: Run) -> None:
        """Once all is folded: identifiers, and what ties them together, are as foretold."""
        for one in self._ids:
            profile, foretold = run.profiles[one], self._people.people[one]
            profile.identifiers = dict(foretold.identifiers)
            profile.links, profile.merges = list(foretold.links), list(foretold.merges)
            profile.notes = _noted(profile.notes, foretold.notes)
            run.owners.update(dict.fromkeys(foretold.identifiers, one))
            if profile.notes is not None and profile.notes.hot:
                run.members[HOT_MEMBERS][one] = self._people.hot_since[one]
            if IDENTITY in run.program.dependents:
                run.touch(profile)
                run.judge(profile, (IDENTITY,), "event")

    def _there(self, run: Run, incoming: Incoming, one: int) -> Profile:
        """A profile; the event's own is made where it is not there yet.

        Raises `Conflict` where it should be there: what was foretold took events that came late in another order.
        """
        if one not in run.profiles:
            if one != profile_id(run.partition, incoming.position):
                raise Conflict("events of several partitions were gone through in another order than they came in")
            linking.create(run, incoming)
        return run.profiles[one]

    def _absorb(self, run: Run, each: Joining) -> None:
        kept = absorb(run, run.profiles[each.survivor], run.profiles[each.absorbed], (each.a, each.b, each.rule))
        assert kept.id == each.survivor, "who is older survives, here as there"


def _noted(mine: Notes | None, foretold: Notes | None) -> Notes | None:
    """As foretold, with what was heard of traits."""
    if mine is None or not mine.parts:
        return foretold
    return structs.replace(foretold or Notes(), parts=mine.parts)
