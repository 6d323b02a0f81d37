"""Learning from records alone: what it finds, that it is repeatable, and that households stay two."""

from random import Random

import pytest

from onefold.matching.index import Index, Thresholds
from onefold.matching.learning import PRIOR, learn
from onefold.matching.linking import link
from onefold.matching.record import Record
from onefold.matching.weights import HOUSEHOLD, SAME, STRANGER, Scorer, decode, encode
from onefold.model.proposal import Proposal

_LETTERS = "bcdfghklmnprstvw"
_VOWELS = "aeiou"


def _name(chance: Random) -> str:
    return "".join(chance.choice(_LETTERS) + chance.choice(_VOWELS) for _ in range(3))


def town(people: int, seed: int = 1) -> tuple[list[Record], list[int]]:
    """Couples of one name, address and phone; every other person a second time, with a slip or another address."""
    chance = Random(seed)
    records, truth = [], []
    for couple in range(people // 2):
        family, street = _name(chance), f"{couple} {_name(chance)} street"
        for n in range(2):
            born = f"{chance.randrange(1940, 2000)}{chance.randrange(1, 13):02}{chance.randrange(1, 29):02}"
            one = Record(_name(chance), family, born, street, "town", f"{couple % 97:05}", (f"+1212{couple:07}",))
            records.append(one)
            truth.append(2 * couple + n)
            if n == 0:
                slip = chance.randrange(len(one.family) - 1)
                family_slip = one.family[:slip] + one.family[slip + 1] + one.family[slip] + one.family[slip + 2 :]
                moved = chance.random() < 0.3
                place = (f"{couple} new road", "00000") if moved else (street, one.postcode)
                records.append(Record(one.given, family_slip, born, place[0], "town", place[1], one.phones))
                truth.append(2 * couple)
    return records, truth


def test_it_finds_what_is_there() -> None:
    """The share of pairs of one person and of one household is learnt within a tenth, without being told."""
    records, truth = town(1_000)
    learnt = learn(records)
    pairs = len(records) * (len(records) - 1) / 2
    assert learnt.shares[SAME] * pairs == pytest.approx(500, rel=0.1)
    assert learnt.shares[HOUSEHOLD] * pairs == pytest.approx(1_000, rel=0.1)
    assert len(set(truth)) == 1_000


def test_a_name_in_an_address_is_no_rarer_than_the_name() -> None:
    """Strangers have the whole name of one in the other's e-mail as often as they are called alike, at least."""
    records, _ = town(600)
    levels = learn(records).levels
    namesakes = levels["given"][1][STRANGER] * levels["family"][1][STRANGER]
    assert levels["handle"][1][STRANGER] >= namesakes


def test_a_household_may_have_two_of_one_name() -> None:
    """However seldom they are among those learnt from: a father and his son are not linked for their name alone."""
    records, _ = town(600)
    levels = learn(records).levels
    assert levels["given"][1][HOUSEHOLD] >= 0.0039
    assert levels["email"][1][HOUSEHOLD] >= 0.049


def test_people_of_a_household_stay_two() -> None:
    """Who shares name, address and phone with another is linked to the own second record and not to the other."""
    records, truth = town(400)
    index, scorer = Index(), Scorer(learn(records))
    proposals: list[Proposal] = []
    for n, record in enumerate(records):
        index.put(n, record)
        proposals += index.propose(n, scorer, Thresholds())
    linked = link(proposals, dict(enumerate(records))).people
    right = {(p.a, p.b) for p in proposals if truth[p.a] == truth[p.b]}
    assert len(right) == 200
    assert all(truth[one] == truth[other] for one, other in linked.items())


def test_learning_is_repeatable_and_total() -> None:
    """The same records give the same weights; none, one, and all alike give weights too."""
    records, _ = town(100)
    assert learn(records) == learn(records)
    for few in ([], [Record()], [Record("ann", "lind")] * 50, [Record()] * 3):
        learnt = learn(few)
        assert set(learnt.levels) == set(PRIOR.levels)
        for levels in learnt.levels.values():
            for kind in (SAME, HOUSEHOLD, STRANGER):
                assert sum(level[kind] for level in levels[1:]) == pytest.approx(1)


def test_rare_names_say_more() -> None:
    """Two people of the same rare name are likelier one than two of a frequent one."""
    records, _ = town(400)
    records += [Record("john", "smith", f"19{n % 90 + 10}0101") for n in range(60)]
    scorer = Scorer(learn(records))
    frequent = scorer.score(Record("john", "smith", "19500101"), Record("john", "smith", ""))
    rare = scorer.score(Record("zelda", "quist", "19500101"), Record("zelda", "quist", ""))
    assert rare.same > frequent.same


def test_a_model_is_data() -> None:
    """Weights survive being written down, and those of other comparisons are refused by name."""
    learnt = learn(town(100)[0])
    assert decode(encode(learnt)) == learnt
    with pytest.raises(ValueError, match="'given'"):
        decode(encode(learnt).replace(b'"given":[[', b'"gaven":[['))


def test_reasons_add_up() -> None:
    """What each comparison contributed is named, in bits, with the sign of what it speaks for."""
    records, _ = town(400)
    reasons = Scorer(learn(records)).reasons(records[0], records[2])
    found = {each.comparison: each for each in reasons}
    assert found["phone"].level == "same"
    assert found["phone"].bits > 5
    assert found["born"].level == "differs"
    assert found["born"].bits < 0


def test_the_whole_name_in_an_email_is_no_sign_of_a_household() -> None:
    """Of whom only an e-mail with somebody's whole name is known, is likelier that one than one of their family."""
    records, _ = town(400)
    records += [Record(emails=(f"{each.given}.{each.family}@mail.example",)) for each in records[:40]]
    scorer = Scorer(learn(records))
    for each in records[:40]:
        scored = scorer.score(each, Record(emails=(f"{each.given}.{each.family}@mail.example",)))
        assert scored.household < 0.1 * scored.same
