"""Records matched as the platform does it, profile after profile: what came of it, and how fast."""

import time
from collections.abc import Mapping
from typing import NamedTuple

from onefold.matching.households import households
from onefold.matching.index import Index, Thresholds
from onefold.matching.learning import learn
from onefold.matching.linking import Linked, link
from onefold.matching.record import Record
from onefold.matching.weights import Scorer, Weights
from onefold.model.proposal import Proposal

THRESHOLDS = Thresholds()


class Matched(NamedTuple):
    """What came of it."""

    linked: Linked
    proposals: list[Proposal]
    weights: Weights
    learning_s: float
    a_second: float
    """Profiles that know something to compare by, put into the index and scored against their candidates; of CPU."""


def housed(records: Mapping[int, Record], weights: Weights) -> dict[int, int]:
    """Each record that has an address → its household."""
    index = Index()
    for profile, record in records.items():
        if record.street:
            index.put(profile, record)
    return households(index, Scorer(weights))


def match(
    records: Mapping[int, Record],
    thresholds: Thresholds = THRESHOLDS,
    weights: Weights | None = None,
    *,
    by_name: bool = False,
) -> Matched:
    """Learn from these records, if no weights are given; then put and score them one by one, and link.

    `by_name`: rules of identity tell people apart by names and birthdays, which holds for links by matching, too.
    """
    began_s = time.perf_counter()
    telling = {profile: record for profile, record in records.items() if record.tells()}
    learnt = weights or learn(list(telling.values()))
    learning_s = time.perf_counter() - began_s
    index, scorer = Index(), Scorer(learnt)
    proposals: list[Proposal] = []
    began_s = time.process_time()
    for profile, record in telling.items():
        index.put(profile, record)
        proposals += index.propose(profile, scorer, thresholds)
    took_s = time.process_time() - began_s
    linked = link(proposals, records, by_name=by_name)
    return Matched(linked, proposals, learnt, learning_s, len(telling) / max(took_s, 1e-9))
