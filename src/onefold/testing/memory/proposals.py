"""Proposed links in memory, as `ports.Proposals`: for tests, and to read how simple it is."""

from collections.abc import Collection, Iterable

from msgspec import structs

from onefold.clock import Clock
from onefold.errors import NotFoundError, PreconditionFailed
from onefold.model.proposal import DECIDED, Judgement, KeptProposal, Proposal, Tie


class MemoryProposals:
    """One workspace's proposals, gone with the process."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._kept: dict[tuple[int, int], KeptProposal] = {}
        self._ties: dict[tuple[int, int], Tie] = {}
        self._cursor = -1
        self._weights: bytes | None = None

    def seen_by(self, clock: Clock) -> "MemoryProposals":
        """The same, with another clock from here on."""
        self._clock = clock
        return self

    def cursor(self) -> int:
        """As the port says."""
        return self._cursor

    def weights(self) -> bytes | None:
        """As the port says."""
        return self._weights

    def keep_weights(self, weights: bytes) -> None:
        """As the port says."""
        self._weights = weights

    def put(
        self, proposals: Iterable[Proposal], scored: Collection[int], cursor: int, ties: Iterable[Tie] = ()
    ) -> None:
        """As the port says."""
        self._cursor = cursor
        now_ms, gone = self._clock.now_ms(), set(scored)
        self._kept = {
            pair: kept for pair, kept in self._kept.items() if kept.standing in DECIDED or gone.isdisjoint(pair)
        }
        for each in proposals:
            before = self._kept.get((each.a, each.b))
            if before is None or before.standing not in DECIDED:
                standing: Judgement = "asked" if each.ask else "sure"
                self._kept[each.a, each.b] = KeptProposal(*each[:4], standing, now_ms)
        self._ties = {pair: tie for pair, tie in self._ties.items() if gone.isdisjoint(pair)}
        self._ties |= {(each.a, each.b): each for each in ties}

    def ties(self, profiles: Collection[int]) -> list[Tie]:
        """As the port says."""
        found = [tie for tie in self._ties.values() if tie.a in profiles or tie.b in profiles]
        return sorted(found, key=lambda each: (-each.together, each.a, each.b))

    def tie_page(self, after: tuple[int, int], limit: int) -> list[Tie]:
        """As the port says."""
        return [self._ties[pair] for pair in sorted(self._ties) if pair > after][:limit]

    def page(self, standing: Judgement, after: tuple[float, int, int] | None, limit: int) -> list[KeptProposal]:
        """As the port says."""
        found = sorted(
            (_order(kept.score, kept.a, kept.b), kept) for kept in self._kept.values() if kept.standing == standing
        )
        return [kept for order, kept in found if after is None or order > _order(*after)][:limit]

    def counts(self) -> dict[Judgement, int]:
        """As the port says."""
        counts: dict[Judgement, int] = {}
        for kept in self._kept.values():
            counts[kept.standing] = counts.get(kept.standing, 0) + 1
        return counts

    def find(self, a: int, b: int) -> KeptProposal | None:
        """As the port says."""
        return self._kept.get((min(a, b), max(a, b)))

    def mark(self, pairs: Collection[tuple[int, int]], by: str) -> None:
        """As the port says."""
        for pair in pairs:
            before = self._kept.get(pair)
            if before is not None and before.standing == "sure":
                self._kept[pair] = structs.replace(before, standing="linked", at_ms=self._clock.now_ms(), by=by)

    def decide(self, a: int, b: int, standing: Judgement, by: str, tag: str = "") -> KeptProposal:
        """As the port says."""
        pair = min(a, b), max(a, b)
        if pair not in self._kept:
            raise NotFoundError(f"it is not proposed that profiles {a:x} and {b:x} are one person")
        before = self._kept[pair]
        if tag and tag != before.tag:
            raise PreconditionFailed(f"the proposal is another by now: {before.said}")
        self._kept[pair] = KeptProposal(*pair, before.score, before.household, standing, self._clock.now_ms(), by)
        return self._kept[pair]

    def close(self) -> None:
        """Nothing to let go of."""


def _order(score: float, a: int, b: int) -> tuple[float, int, int]:
    return -score, a, b
