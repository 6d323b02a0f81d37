"""The simulated world: repeatable, in order, true to its figures, and made of events that collect takes."""

from collections import Counter
from itertools import islice
from random import Random

import msgspec
import pytest

from bench.world.parameters import INDUSTRIES, Parameters, load, noisier, sharing
from bench.world.people import at
from bench.world.simulator import BEGIN_MS, World
from bench.world.truth import NOBODY, Happening
from bench.world.typing_errors import misdate, slip, typed
from onefold.collect.check import Passed, examine
from onefold.testing.world import rfc3339


def small(industry: str = "retail", **changed: int) -> Parameters:
    """A world of a few hundred people."""
    return msgspec.structs.replace(load(industry), **{"people": 300, "days": 30, **changed})


def happenings(parameters: Parameters, seed: int = 1) -> list[Happening]:
    """All that happens in it."""
    return list(World(parameters, seed).happenings())


def test_a_seed_is_a_world() -> None:
    """The same seed gives the same people and events, another seed others."""
    assert happenings(small()) == happenings(small())
    assert happenings(small(), 2) != happenings(small(), 1)


def test_it_streams() -> None:
    """The first events come without the rest being made; they are the first of the whole."""
    assert list(islice(World(small()).happenings(), 50)) == happenings(small())[:50]


@pytest.mark.parametrize("industry", INDUSTRIES)
def test_every_industry_is_in_order_and_well_formed(industry: str) -> None:
    """Events come in order of time, each with an id of its own, and collect takes every one of them."""
    found = happenings(small(industry))
    assert len(found) > 300
    assert [each.at_ms for each in found] == sorted(each.at_ms for each in found)
    assert found[0].at_ms >= BEGIN_MS
    assert len({each.event["messageId"] for each in found}) == len(found)
    for each in found:
        body = msgspec.json.encode(each.event | {"timestamp": rfc3339(each.at_ms)})
        assert isinstance(examine(body, 32_768), Passed), body


@pytest.mark.parametrize("industry", INDUSTRIES)
def test_the_truth_is_consistent(industry: str) -> None:
    """A record has one owner or none for good, an account one person; who did it lives in the household."""
    world = World(small(industry))
    home = {person.number: household.number for household in world.households for person in household.people}
    owners: dict[str, set[int]] = {}
    for each in world.happenings():
        assert home[each.truth.person] == each.truth.household
        owners.setdefault(each.truth.record, set()).add(each.truth.owner)
        if user := each.event.get("userId"):
            owners.setdefault(f"user_id:{user}", set()).add(each.truth.says)
            assert each.truth.says != NOBODY
    assert all(len(found) == 1 for found in owners.values())


def test_people_share_what_households_share() -> None:
    """A household has one address and mostly one family name; e-mails are a person's own, but for some couples'."""
    world = World(small(people=3_000))
    several = [household for household in world.households if len(household.people) > 1]
    same = sum(len({at(0, person.family) for person in each.people}) == 1 for each in several)
    assert 0.5 < same / len(several) < 0.9
    emails = Counter(at(0, person.emails) for each in world.households for person in each.people)
    assert max(emails.values()) == 2
    assert sum(n == 2 for n in emails.values()) / len(several) < 0.1


def test_more_noise_is_more_errors() -> None:
    """Twice the errors, and none at all: `noisier` changes what is typed and nothing else."""
    details = {"firstName": "Robert", "lastName": "Underwood", "birthday": "1980-02-03", "phone": "+12125550100",
               "address": {"street": "1 Long Street", "city": "Springfield", "postalCode": "12345"}}  # fmt: skip

    def wrong(factor: float) -> int:
        errors = noisier(small(), factor).errors
        chance = Random(1)
        return sum(typed(details, errors, errors.by_staff, chance) != details for _ in range(2_000))

    assert wrong(0) == 0
    assert wrong(0.5) < wrong(1) < wrong(2)


def test_more_sharing_is_more_shared_records() -> None:
    """What is done on devices of several people grows with the factor."""

    def shared(factor: float) -> float:
        found = happenings(sharing(small(), factor))
        return sum(each.truth.owner == NOBODY for each in found) / len(found)

    assert shared(0) == 0
    assert 0 < shared(1) < shared(3)


def test_errors_are_errors() -> None:
    """A slip is one edit of what may go wrong, a wrong date is still a date and another one mostly."""
    chance = Random(1)
    assert all(abs(len(slip("underwood", chance)) - 9) <= 1 for _ in range(100))
    assert slip("+1", chance, str.isdigit) == "+1"
    wrong = [misdate("1980-02-03", chance) for _ in range(100)]
    assert all(1 <= int(day[5:7]) <= 12 and 1 <= int(day[8:]) <= 28 for day in wrong)
    assert sum(day != "1980-02-03" for day in wrong) > 90


def test_figures_are_checked() -> None:
    """A figure that is missing or unknown is an error that names it."""
    text = b"industry: retail\npeople: 1\ndays: 1\nhouseholds: {sizes: [1.0]}\n"
    with pytest.raises(msgspec.ValidationError, match="households"):
        msgspec.yaml.decode(text, type=Parameters)
