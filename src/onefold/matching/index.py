"""The people who could be one, kept as they change: whoever comes is compared with those who share a key, at once.

An index is a set of records under the ids of their profiles, found by their keys. It knows no engine and no clock; who
keeps one follows the effects (a profile that changed is put again, one that was absorbed is dropped).
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from onefold.matching.blocking import keys
from onefold.matching.comparing import may_be_namesakes
from onefold.matching.learning import BLOCK_MAX
from onefold.matching.linking import parts
from onefold.matching.record import Record
from onefold.matching.weights import Scored, Scorer
from onefold.model.proposal import Proposal

LINK = 0.95
REVIEW = 0.60


class Thresholds(NamedTuple):
    """From which probability on two profiles are linked, or somebody is asked; below they stay as they are."""

    link: float = LINK
    review: float = REVIEW


class Index:
    """Records by their keys."""

    def __init__(self, most: int = BLOCK_MAX) -> None:
        """`most`: a key that more records share finds nobody."""
        self._most = most
        self._records: dict[int, Record] = {}
        self._blocks: dict[str, dict[int, None]] = {}

    def __len__(self) -> int:
        return len(self._records)

    def __iter__(self) -> Iterator[int]:
        return iter(self._records)

    def __getitem__(self, profile: int) -> Record:
        return self._records[profile]

    def put(self, profile: int, record: Record) -> None:
        """Keep this record, instead of the one that was there."""
        if profile in self._records:
            if self._records[profile] == record:
                return
            self.drop(profile)
        if not record.tells():
            return
        self._records[profile] = record
        for key in keys(record):
            self._blocks.setdefault(key, {})[profile] = None

    def drop(self, profile: int) -> None:
        """Forget a record; nothing happens where there is none."""
        record = self._records.pop(profile, None)
        if record is None:
            return
        for key in keys(record):
            block = self._blocks[key]
            del block[profile]
            if not block:
                del self._blocks[key]

    def candidates(self, profile: int) -> list[int]:
        """Who shares a key with this profile that is not had by too many, each once."""
        found: dict[int, None] = {}
        for key in keys(self._records[profile]):
            block = self._blocks[key]
            if len(block) <= self._most:
                found.update(block)
        found.pop(profile, None)
        return list(found)

    def crowded(self) -> list[tuple[str, int]]:
        """Keys that find nobody, since too many have them, and how many do; the fullest first."""
        found = [(key, len(block)) for key, block in self._blocks.items() if len(block) > self._most]
        return sorted(found, key=lambda each: (-each[1], each[0]))

    def score(self, profile: int, scorer: Scorer) -> Iterator[tuple[int, Scored]]:
        """Whoever shares a key with this profile, and what both come to; nobody where it is not here."""
        record = self._records.get(profile)
        if record is not None:
            for other in self.candidates(profile):
                yield other, scorer.score(record, self._records[other])

    def propose(self, profile: int, scorer: Scorer, thresholds: Thresholds) -> Iterator[Proposal]:
        """Who may be one person with this profile, as far as somebody should know of it."""
        return self.weigh(profile, self.score(profile, scorer), thresholds)

    def weigh(self, profile: int, found: Iterable[tuple[int, Scored]], thresholds: Thresholds) -> Iterator[Proposal]:
        """The proposals of what was scored."""
        for other, scored in found:
            if scored.same >= thresholds.review:
                both = self._records[profile], self._records[other]
                ask = scored.same < thresholds.link or are_parted(*both) or may_be_namesakes(*both)
                yield _proposal(profile, other, scored, ask=ask)


def match_everybody(records: Mapping[int, Record], scorer: Scorer, thresholds: Thresholds) -> list[Proposal]:
    """The proposals of all these records at once: those that a role has made of them in the end."""
    index = Index()
    found: list[Proposal] = []
    for profile, record in records.items():
        index.put(profile, record)
        found += index.propose(profile, scorer, thresholds)
    return found


def are_parted(a: Record, b: Record) -> bool:
    """Whether the rules keep two records apart, as each has an account of its own."""
    return parts(a.accounts, b.accounts)


def _proposal(one: int, other: int, scored: Scored, *, ask: bool) -> Proposal:
    a, b = (one, other) if one < other else (other, one)
    return Proposal(a, b, scored.same, scored.household, ask)
