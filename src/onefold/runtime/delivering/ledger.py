"""The books of one destination: what was taken, what became of it, and how far all of it is settled.

A commit is *open* from the moment that its effects are taken until each is filtered, delivered, or kept in the
store. Counts of an open commit stand apart; they join the totals when it closes, and the low-water mark moves
past it. So what is written down closes at every instant, and what a crash forgets is taken again as if for
the first time. Nothing is kept of a delivery that succeeds at once.
"""

from collections import Counter, deque

from msgspec.structs import replace

from onefold.model.delivery import Delivery, Progress


class _Open:
    __slots__ = ("counts", "known", "taken", "unsettled")

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.unsettled = 0
        """Deliveries that are neither delivered nor kept."""
        self.taken = False
        """All effects of the commit have been seen."""
        self.known: set[int] = set()
        """Deliveries that were kept before a restart, of a commit that is taken again after it."""


class Ledger:
    """Counts, low-water mark, and the rows that the store still has to write. Time and order are not its business."""

    def __init__(self, destination: str, low_water: int, counts: dict[str, int]) -> None:
        self.destination = destination
        self.low_water = low_water
        self.off = ""
        self._totals: Counter[str] = Counter(counts)
        self._open: dict[int, _Open] = {}
        self._order: deque[int] = deque()
        self._kept: dict[int, Delivery] = {}
        self._pending: dict[int, Delivery | None] = {}
        self._parked: dict[int, Delivery | None] = {}
        self._changed = False

    # --- after a restart -------------------------------------------------------------------------------------
    def recall(self, delivery: Delivery) -> None:
        """The store keeps this delivery, pending or parked."""
        if delivery.state != "parked":
            self._kept[delivery.seq] = delivery
        if delivery.commit > self.low_water:
            commit = self._open.setdefault(delivery.commit, _Open())
            commit.known.add(delivery.seq)
            commit.counts[_count(delivery)] += 1

    def pass_over(self, until: int) -> None:
        """Nothing is taken any more of commits up to this one; what the store keeps of them stays, and is counted."""
        for number in [number for number in self._open if number <= until]:
            self.retake(number)
            self._totals.update(self._open.pop(number).counts)
        self.low_water = max(self.low_water, until)
        self._changed = True

    # --- taking ----------------------------------------------------------------------------------------------
    def begin(self, commit: int) -> None:
        """The effects of this commit come next; commits come in ascending order."""
        self._open.setdefault(commit, _Open())
        self._order.append(commit)

    def filtered(self, commit: int, reason: str, n: int = 1) -> None:
        """So many effects of this commit are not for this destination."""
        if n:
            counts = self._open[commit].counts
            counts["taken"] += n
            counts[f"filtered.{reason}"] += n

    def retake(self, commit: int) -> set[int]:
        """Count as taken those effects of a commit that the store has kept since before a restart; their `seq`s."""
        known, self._open[commit].known = self._open[commit].known, set()
        self._open[commit].counts["taken"] += len(known)
        return known

    def took(self, delivery: Delivery) -> None:
        """A new delivery is in memory."""
        commit = self._open[delivery.commit]
        commit.counts["taken"] += 1
        commit.unsettled += 1

    def end(self, commit: int) -> None:
        """All effects of this commit have been seen."""
        self._open[commit].taken = True
        self._fold()

    # --- what becomes of it ----------------------------------------------------------------------------------
    def is_kept(self, delivery: Delivery) -> bool:
        """Whether the store keeps this delivery as pending, or will with the next `progress`."""
        return delivery.seq in self._kept

    def keep(self, delivery: Delivery) -> None:
        """Keep this delivery as pending, as it is when `progress` is called."""
        self._pending[delivery.seq] = delivery
        self._changed = True
        if not self.is_kept(delivery):
            self._kept[delivery.seq] = delivery
            self._settle(delivery, "pending")

    def delivered(self, delivery: Delivery) -> None:
        """The destination has it."""
        self._leave_pending(delivery)
        self._settle(delivery, "delivered")

    def parked(self, delivery: Delivery) -> None:
        """It gave up; the reason stands in it."""
        self._leave_pending(delivery)
        self._parked[delivery.seq] = delivery
        self._settle(delivery, _count(delivery))

    def expired(self, delivery: Delivery) -> None:
        """It has waited for too long."""
        self._leave_pending(delivery)
        self._settle(delivery, "filtered.expired")

    def forgotten(self, delivery: Delivery) -> None:
        """It has been parked for too long."""
        counts = self._counts(delivery)
        counts[f"parked.{delivery.reason}"] -= 1
        counts["filtered.expired"] += 1
        self._parked[delivery.seq] = None
        self._changed = True

    def replayed(self, delivery: Delivery, parked_for: str) -> None:
        """A parked delivery is pending again."""
        counts = self._counts(delivery)
        counts[f"parked.{parked_for}"] -= 1
        counts["pending"] += 1
        self._kept[delivery.seq] = delivery
        self._parked[delivery.seq] = None
        self._pending[delivery.seq] = delivery
        self._changed = True

    def progress(self) -> Progress | None:
        """What changed since the last call, for the store to write; None: nothing."""
        if not self._changed:
            return None
        counts = {name: n for name, n in self._totals.items() if n}
        pending, parked = _copies(self._pending), _copies(self._parked)
        changes = Progress(self.destination, self.low_water, counts, pending, parked, self.off)
        self._pending, self._parked, self._changed = {}, {}, False
        return changes

    def written(self, progress: Progress) -> None:
        """The store has written this: payloads that it keeps need no memory."""
        for seq, row in progress.pending.items():
            if row and (delivery := self._kept.get(seq)):
                delivery.payload = b""

    def switched(self, off: str) -> None:
        """The destination is gone from this URL; empty: it is back."""
        self.off = off
        self._changed = True

    def counts(self) -> Counter[str]:
        """All that has been taken so far, open commits too; `waiting` are those in memory only."""
        total = Counter(self._totals)
        for commit in self._open.values():
            total.update(commit.counts)
            total["waiting"] += commit.unsettled
        return total

    def _leave_pending(self, delivery: Delivery) -> None:
        if self.is_kept(delivery):
            del self._kept[delivery.seq]
            self._pending[delivery.seq] = None
            self._counts(delivery)["pending"] -= 1
            if commit := self._open.get(delivery.commit):
                commit.unsettled += 1

    def _settle(self, delivery: Delivery, count: str) -> None:
        self._counts(delivery)[count] += 1
        if commit := self._open.get(delivery.commit):
            commit.unsettled -= 1
            self._fold()
        self._changed = True

    def _counts(self, delivery: Delivery) -> Counter[str]:
        commit = self._open.get(delivery.commit)
        return commit.counts if commit else self._totals

    def _fold(self) -> None:
        while self._order:
            commit = self._open[self._order[0]]
            if commit.unsettled or not commit.taken:
                return
            self.low_water = self._order.popleft()
            del self._open[self.low_water]
            self._totals.update(commit.counts)
            self._changed = True


def _copies(rows: dict[int, Delivery | None]) -> dict[int, Delivery | None]:
    return {seq: row and replace(row) for seq, row in rows.items()}


def _count(delivery: Delivery) -> str:
    return f"parked.{delivery.reason}" if delivery.state == "parked" else "pending"
