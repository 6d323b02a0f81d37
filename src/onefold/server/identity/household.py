"""The household of a profile: who lives with whom, as far as matching is sure of it, and by what."""

from collections.abc import Mapping

from litestar import Router
from msgspec import Struct

from onefold.matching.households import Member, grouped, household_of, sizes_of
from onefold.matching.record import Record, of_profile
from onefold.matching.weights import Scorer
from onefold.model import position
from onefold.model import profile as profiles
from onefold.model.profile import Profile
from onefold.ports import Proposals
from onefold.runtime.identity.reviewing import all_ties, scorer_of
from onefold.server.engines import Engines, Given
from onefold.server.identity.reviews import ReasonAnswer
from onefold.server.people.profiles import SCOPE, Name, find
from onefold.server.route import read, segment


class MemberAnswer(Struct):
    """Somebody of a household, and by whom they belong to it."""

    profile: str
    name: str
    """As it is compared; empty where none is known."""
    tied_to: str
    """Another member's profile; their own: this is whom was asked for."""
    together: float
    """How probable it is that those two are of one household, or even one person."""
    why: list[ReasonAnswer]
    """What speaks for it: each comparison of the two."""


class HouseholdAnswer(Struct):
    """A household; whoever lives alone, or of whom nothing is known, is one of one."""

    household: str
    """The first profile of it: the same whichever member is asked for."""
    members: list[MemberAnswer]


class SizeAnswer(Struct):
    """Households of one size."""

    profiles: int
    households: int


class HouseholdsAnswer(Struct):
    """Households of two profiles or more."""

    households: int
    profiles: int
    """In all of them together."""
    sizes: list[SizeAnswer]


@read(
    "/{name:str}/household",
    SCOPE,
    "Who lives with a profile's person",
    missing=True,
    sync_to_thread=True,
    description="Profiles that matching takes for one household. It is a grouping beside people, and changes nobody.",
)
def get_household(engines: Given, name: Name) -> HouseholdAnswer:
    """Answer with the household."""
    return household(engines, find(engines.state, engines.rules(), segment(name)))


@read("/households", "identity:read", "How many households there are", sync_to_thread=True)
def get_households(engines: Given) -> HouseholdsAnswer:
    """Answer with their number and sizes."""
    return households(engines.proposed())


router = Router("/v1/profiles", route_handlers=[get_household], tags=["profiles"])
counts = Router("/v1/identity", route_handlers=[get_households], tags=["profiles"])


def households(proposals: Proposals) -> HouseholdsAnswer:
    """All that are known. Cost: linear in the ties."""
    sizes = sizes_of(grouped(all_ties(proposals)))
    people = sum(size * n for size, n in sizes.items())
    return HouseholdsAnswer(sum(sizes.values()), people, [SizeAnswer(*each) for each in sizes.items()])


def household(engines: Engines, profile: Profile) -> HouseholdAnswer:
    """The household of this profile. Raises `StorageError` and its kin."""
    proposals = engines.proposed()
    members = household_of(profile.id, proposals.ties)
    loaded = engines.state.survivors([each.profile for each in members])
    people = {one: found for one, data in loaded.items() if (found := profiles.decode(data)).id == one}
    records = {one: of_profile(found) for one, found in people.items()}
    here = [each for each in members if each.profile in records]
    scorer = scorer_of(proposals)
    first = min((each.profile for each in here), default=profile.id)
    return HouseholdAnswer(position.show(first), [_shown(each, records, scorer) for each in here])


def _shown(member: Member, records: Mapping[int, Record], scorer: Scorer) -> MemberAnswer:
    record, tied = records[member.profile], records.get(member.tied_to)
    told = [] if tied is None or member.tied_to == member.profile else scorer.reasons(record, tied)
    name = f"{record.given} {record.family}".strip()
    why = [ReasonAnswer(*each) for each in told]
    return MemberAnswer(position.show(member.profile), name, position.show(member.tied_to), member.together, why)
