"""Sure links: pairs that matching is sure of, written into the log, where the fold finds them.

Written first and marked then: who dies in between writes again, which changes nothing, for whoever is one person by
then is not linked anew, and whoever was taken apart stays apart (`core.identity.explicit.match`).
"""

from collections.abc import Mapping

from onefold.clock import Clock
from onefold.model import entry as entries
from onefold.model import position
from onefold.model import profile as profiles
from onefold.model.entry import Linked, Matched
from onefold.model.identity import BUILT_IN
from onefold.model.profile import Profile
from onefold.model.proposal import KeptProposal
from onefold.ports import LogWriter, Proposals, State

BY = "matching"
"""Who has said it, in entries and proposals."""
AT_ONCE = 200
"""Pairs that are written together."""


class SureLinks:
    """Writes the links of one workspace."""

    def __init__(self, state: State, proposals: Proposals, writer: LogWriter, clock: Clock) -> None:
        self._state = state
        self._proposals = proposals
        self._writer = writer
        self._clock = clock

    def write(self, least: float, model: str) -> int:
        """Link the surest pairs that are at least so probable; how many were, 0: there are no others."""
        found = [each for each in self._proposals.page("sure", None, AT_ONCE) if each.score >= least]
        people = self._people(found)
        pairs = [each for each in found if each.a in people and each.b in people]
        records: dict[int, list[bytes]] = {}
        for each in pairs:
            home = position.home(min(each.a, each.b)) % self._writer.partitions
            records.setdefault(home, []).append(self._record(each, people, model))
        if records:
            self._writer.append(records)
            self._proposals.mark([(each.a, each.b) for each in pairs], BY)
        return len(pairs)

    def _people(self, found: list[KeptProposal]) -> dict[int, Profile]:
        """Those of the proposals who are there, and have an identifier to be found by."""
        loaded = self._state.survivors({one for each in found for one in (each.a, each.b)})
        decoded = {one: profiles.decode(data) for one, data in loaded.items()}
        return {one: profile for one, profile in decoded.items() if profile.id == one and profile.identifiers}

    def _record(self, pair: KeptProposal, people: Mapping[int, Profile], model: str) -> bytes:
        matched = Matched(round(pair.score, 6), model)
        a, b = (name_of(people[one]) for one in (pair.a, pair.b))
        return entries.encode(Linked(self._clock.now_ms(), a, b, BY, matched=matched))


def name_of(profile: Profile) -> str:
    """The identifier by which the profile is likeliest to be found later: an account, or a contact, before a device."""
    return min(profile.identifiers, key=lambda each: (_rank(each), profile.identifiers[each], each))


def _rank(identifier: str) -> int:
    kind = identifier.partition(":")[0]
    return BUILT_IN.index(kind) if kind in BUILT_IN else len(BUILT_IN[:3])
