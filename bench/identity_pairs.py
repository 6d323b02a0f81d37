"""Records whose truth is known: FEBRL's data sets, and pseudopeople's census and tax forms, as rows of the proof."""

from collections.abc import Sequence

from msgspec import structs

from bench import febrl, pseudopeople_data, splinked
from bench.identity_worlds import households_row, row
from bench.matched import THRESHOLDS, housed, match
from bench.report import Bound, Row
from onefold.matching.learning import learn
from onefold.matching.linking import Linked
from onefold.matching.measures import Score
from onefold.matching.measures import measure as measured
from onefold.matching.record import Record

FEBRL4 = Bound(0.97, 0.99, most=False)


def febrl_rows(number: int) -> list[Row]:
    """One of FEBRL's four data sets, as one heap of records; the fourth also without its telling number."""
    data = febrl.load(number)
    records = dict(enumerate(data.records))
    rows = [_row(f"FEBRL{number}, F1", data.entities, records, FEBRL4 if number == 4 else None)]
    if number == 4:
        bare = {n: structs.replace(record, numbers=()) for n, record in records.items()}
        rows.append(_row("FEBRL4 without its number of social security, F1", data.entities, bare))
        rows += _splink_rows("FEBRL4, F1", data.entities, records)
    return rows


def pseudopeople_rows() -> list[Row]:
    """A census and a year's tax forms of one town, as one heap of records."""
    sample = pseudopeople_data.load()
    records = dict(enumerate(sample.records))
    what = f"pseudopeople, census and tax forms, seed {pseudopeople_data.SEED}, F1"
    found = housed(records, learn(list(records.values())))
    return [
        _row(what, sample.people, records),
        *_splink_rows(what, sample.people, records),
        households_row("pseudopeople, group quarters included", dict(enumerate(sample.households)), found),
    ]


def score_of(people: Sequence[str], linked: Linked) -> Score:
    """Pairwise precision and recall of what was linked."""
    truth = dict(enumerate(people))
    return measured(truth, {n: linked.people.get(n, n) for n in truth}).pairwise


def _row(what: str, people: Sequence[str], records: dict[int, Record], bound: Bound | None = None) -> Row:
    found = match(records)
    score = score_of(people, found.linked)
    details = {
        "precision": score.precision, "recall": score.recall, "records": len(records),
        "learning_s": found.learning_s, "profiles_a_second_of_cpu": found.a_second,
    }  # fmt: skip
    return row(f"{what}: weights learnt of its records alone", score.f1, bound, details)


def _splink_rows(what: str, people: Sequence[str], records: dict[int, Record]) -> list[Row]:
    found = splinked.attempt(records, THRESHOLDS.link)
    if found is None:
        return []
    score = score_of(people, found.linked)
    details = {
        "precision": score.precision, "recall": score.recall, "records": len(records),
        "learning_s": found.learning_s, "scoring_s": found.scoring_s,
    }  # fmt: skip
    return [row(f"{what}: Splink", score.f1, None, details)]
