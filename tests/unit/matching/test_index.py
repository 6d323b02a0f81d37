"""The index: who is found, who is not found any more, and what is never linked unasked."""

from random import Random

from msgspec import structs

from onefold.matching.index import Index, Thresholds
from onefold.matching.learning import PRIOR, candidates
from onefold.matching.linking import link
from onefold.matching.record import Record
from onefold.matching.weights import Scorer
from onefold.model.proposal import Proposal

ANN = Record("ann", "lindgren", "19800203", "5 long street", "springfield", "12345")
THRESHOLDS = Thresholds()
SCORER = Scorer(PRIOR)


def proposed(index: Index, profile: int) -> list[Proposal]:
    """Whom the index proposes for a profile."""
    return list(index.propose(profile, SCORER, THRESHOLDS))


def test_who_comes_is_compared_with_who_is_there() -> None:
    """The second record of a person is proposed with the first, the smaller id first."""
    index = Index()
    index.put(9, ANN)
    assert proposed(index, 9) == []
    index.put(4, ANN)
    (found,) = proposed(index, 4)
    assert (found.a, found.b, found.ask) == (4, 9, False)
    assert found.score > 0.99


def test_a_namesake_with_other_contacts_is_asked_about() -> None:
    """A father and a son share name and address; a birthday of both, or one phone, tells that it is one person."""
    father = structs.replace(ANN, born="", phones=("+12125550100",), emails=("ann.lindgren@acme.com",))
    son = structs.replace(father, phones=("+12125550177",), emails=("lindgren84@mail.example",))
    for born, phone, ask in (("", son.phones, True), ("19800203", son.phones, False), ("", father.phones, False)):
        index = Index()
        index.put(1, structs.replace(father, born=born))
        index.put(2, structs.replace(son, born=born, phones=phone))
        (found,) = index.propose(2, SCORER, Thresholds(0.5, 0.4))
        assert found.ask is ask


def test_no_chain_joins_who_is_called_otherwise() -> None:
    """A is like B and B like C, of whom too little is known to say that A and C are two."""
    records = {
        1: Record("ann", "lindgren", "19800203", phones=("+12125550100",)),
        2: Record("", "lindgren", "", "5 long street", "springfield", "12345", ("+12125550100",)),
        3: Record("bob", "lindgren", "19530911", "5 long street", "springfield", "12345"),
    }
    pairs = [Proposal(1, 2, 0.99, 0.0, ask=False), Proposal(2, 3, 0.98, 0.0, ask=False)]
    found = link(pairs, records, by_name=True)
    assert (found.people[1], found.people[2], found.people.get(3, 3)) == (1, 1, 3)
    assert (found.taken, found.refused) == (1, 1)


def test_who_is_dropped_or_changed_is_not_found() -> None:
    """A record that went, or became another, leaves nothing behind."""
    index = Index()
    index.put(1, ANN)
    index.put(2, ANN)
    index.put(2, Record("bob", "underwood", "19700101"))
    assert index.candidates(1) == []
    index.drop(2)
    index.drop(2)
    index.put(1, Record())
    assert len(index) == 0
    assert index.crowded() == []
    assert proposed(index, 1) == []


def test_a_key_of_very_many_finds_nobody_and_is_told() -> None:
    """A birthday that everybody has costs nothing and is listed; other keys still find."""
    index = Index(most=50)
    for n in range(200):
        index.put(n, Record(f"x{n}", f"y{n}", "19000101"))
    index.put(300, ANN)
    index.put(301, ANN)
    assert index.candidates(0) == []
    assert index.candidates(300) == [301]
    assert index.crowded() == [("b19000101", 200)]


def test_two_accounts_are_asked_about() -> None:
    """However alike, two profiles with an account each are for somebody to decide."""
    index = Index()
    index.put(1, Record("ann", "lindgren", "19800203", "5 long street", "x", "12345", accounts=("user_id:1",)))
    index.put(2, Record("ann", "lindgren", "19800203", "5 long street", "x", "12345", accounts=("user_id:2",)))
    (found,) = proposed(index, 1)
    assert found.ask
    assert link([found], {1: index[1], 2: index[2]}).people == {}


def test_nobody_becomes_one_with_two_accounts_on_the_way() -> None:
    """A record without an account goes to the surer of two with one, and the two stay apart; order does not matter."""
    records = {1: Record(accounts=("user_id:1",)), 2: Record(), 3: Record(accounts=("user_id:3",))}
    pairs = [Proposal(1, 2, 0.995, 0.0, ask=False), Proposal(2, 3, 0.999, 0.0, ask=False)]
    for given in (pairs, pairs[::-1]):
        linked = link(given, records)
        assert linked.people == {1: 1, 2: 2, 3: 2}
        assert (linked.taken, linked.refused) == (1, 1)


def test_one_by_one_equals_all_at_once() -> None:
    """Records put one after the other, in any order, meet the same candidates as all of them at once."""
    chance = Random(1)
    pool = [f"{chance.randrange(1940, 1950)}0{chance.randrange(1, 10)}01" for _ in range(40)]
    records = [Record(chance.choice("abc"), chance.choice(("lind", "lund")), chance.choice(pool)) for _ in range(120)]
    order = list(range(len(records)))
    for _ in range(3):
        chance.shuffle(order)
        index = Index(most=1_000)
        met = set()
        for n in order:
            index.put(n, records[n])
            met |= {(min(n, other), max(n, other)) for other in index.candidates(n)}
        assert met == candidates(records, most=1_000)
