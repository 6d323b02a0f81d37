"""The same records scored by Splink, all at once, and linked as ours are: what ours is held against."""

import sys
from collections.abc import Mapping
from typing import NamedTuple

from onefold.errors import SettingsError
from onefold.matching.index import Thresholds
from onefold.matching.linking import Linked, link
from onefold.matching.record import Record
from onefold.runtime.identity import splinked


class Splinked(NamedTuple):
    """What came of it."""

    linked: Linked
    learning_s: float
    scoring_s: float


def attempt(records: Mapping[int, Record], threshold: float) -> Splinked | None:
    """Learn, score and link; None, and a line that says so, where Splink is missing or cannot learn of these."""
    try:
        found = splinked.match(records, Thresholds(threshold, 0.5))
    except SettingsError as error:
        sys.stderr.write(f"left out: {error}\n")
        return None
    return Splinked(link(found.proposals, records), found.learning_s, found.scoring_s)
