"""The line to a destination against random outcomes, crashes and switches: order, accounting, no starvation."""

from collections import defaultdict

from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from onefold import limits
from onefold.model import delivery as deliveries
from onefold.model.delivery import Delivery
from onefold.ports import Outcome
from onefold.runtime.delivering.ledger import Ledger
from onefold.runtime.delivering.line import Line
from onefold.testing.simulation.delivery import Shelf as Kept

OUTCOMES = st.sampled_from(
    [
        *[Outcome(delivered=True, status=200)] * 4,
        Outcome(delivered=False, status=500, reason="http_500"),
        Outcome(delivered=False, status=429, reason="http_429", retry_after_s=3.0),
        Outcome(delivered=False, reason="timeout"),
        Outcome(delivered=False, status=422, reason="http_422", retry=False),
    ]
)
COMMITS = st.lists(st.lists(st.one_of(st.none(), st.integers(1, 4)), min_size=1, max_size=6), min_size=1, max_size=12)
"""Commits of effects: None is filtered, a number is of that profile."""
STEPS = st.lists(
    st.sampled_from(
        ["take", "send", "settle", "settle", "write", "crash", "wait", "replay", "hold", "expire", "forget"]
    )
)


class Shelf(Kept):
    """What the store would keep."""

    def check(self) -> None:
        """The books close, and fit the rows."""
        taken = self.counts.get("taken", 0)
        assert taken == sum(n for name, n in self.counts.items() if name != "taken"), self.counts
        assert all(n > 0 for n in self.counts.values())
        settled = {seq for seq in self.pending if deliveries.commit_of(seq) <= self.low_water}
        assert len(settled) == self.counts.get("pending", 0)
        parked = [seq for seq in self.parked if deliveries.commit_of(seq) <= self.low_water]
        assert len(parked) == sum(n for name, n in self.counts.items() if name.startswith("parked."))
        assert not self.pending.keys() & self.parked.keys()


class Simulation:
    """A line, its shelf, and a destination that remembers what it took."""

    def __init__(self, commits: list[list[int | None]]) -> None:
        self.commits = commits
        self.shelf = Shelf()
        self.now_ms = 1_000_000
        self.in_flight: list[Delivery] = []
        self.accepted: dict[int, list[int]] = defaultdict(list)
        self.given_up: set[int] = set()
        self.start()

    def start(self) -> None:
        """A process begins with what the shelf has."""
        shelf = self.shelf
        self.line = Line(Ledger("d", shelf.low_water, shelf.counts), 3)
        ahead = [row for row in shelf.parked.values() if row.commit > shelf.low_water]
        rows = sorted(shelf.pending.values(), key=lambda row: row.seq)
        self.line.recall([*rows, *ahead])
        self.next_commit = shelf.low_water
        self.in_flight.clear()

    def take(self) -> None:
        """Take the next commit."""
        if self.next_commit >= len(self.commits):
            return
        self.next_commit += 1
        ledger, number = self.line.ledger, self.next_commit
        ledger.begin(number)
        known = ledger.retake(number)
        for index, profile in enumerate(self.commits[number - 1]):
            seq = deliveries.sequence(number, index)
            if seq in known:
                continue
            if profile is None:
                ledger.filtered(number, "unsubscribed")
            else:
                self.line.add(Delivery(seq, f"k{seq}", profile, "event", b"payload", since_ms=self.now_ms))
        ledger.end(number)

    def send(self) -> None:
        """Begin all the attempts that may begin."""
        while delivery := self.line.next(self.now_ms):
            assert delivery.due_ms <= self.now_ms
            assert delivery.profile not in {other.profile for other in self.in_flight}
            assert delivery.payload or self.shelf.payloads[delivery.seq]
            self.in_flight.append(delivery)
        assert len(self.in_flight) <= 3

    def settle(self, outcome: Outcome, jitter: float) -> None:
        """The oldest attempt ends like this."""
        if self.in_flight:
            delivery = self.in_flight.pop(0)
            if outcome.delivered:
                self.accepted[delivery.profile].append(delivery.seq)
            self.line.settle(delivery, outcome, self.now_ms, jitter)

    def write(self) -> None:
        """Keep what changed."""
        if progress := self.line.progress():
            self.shelf.write(progress)
            self.line.ledger.written(progress)
        self.shelf.check()

    def replay(self) -> None:
        """Send all parked ones again, as the role does: right after a write."""
        self.write()
        rows = sorted(self.shelf.parked.values(), key=lambda row: row.seq)
        for row in rows:
            if row.commit <= self.next_commit:
                self.line.replay(replace(row, payload=b""), self.now_ms)

    def wait(self) -> None:
        """Time passes."""
        self.now_ms += 40_000

    def expire(self) -> None:
        """What waits for more than a minute is given up, and nothing else is."""
        before_ms = self.now_ms - 60_000
        old = {one.seq for one in self.line.lanes.everything() if one.since_ms < before_ms}
        old -= {one.seq for one in self.in_flight}
        counts = self.line.ledger.counts()
        assert self.line.expire(before_ms) == len(old)
        assert self.line.ledger.counts()["filtered.expired"] - counts["filtered.expired"] == len(old)
        assert {one.seq for one in self.line.lanes.everything()}.isdisjoint(old)
        self.given_up |= old

    def forget(self) -> None:
        """What is parked for more than a minute is given up, as the role does it: right after a write."""
        self.write()
        for row in [*self.shelf.parked.values()]:
            if row.parked_at_ms < self.now_ms - 60_000 and row.commit <= self.next_commit:
                self.line.forget(replace(row))
                self.given_up.add(row.seq)

    def hold(self) -> None:
        """Switched off and on again."""
        self.line.hold()
        assert self.line.next(self.now_ms) is None
        self.line.on = True

    def finish(self) -> None:
        """From now on the destination takes everything: run to the end."""
        for _ in range(10_000):
            self.take()
            self.send()
            if self.in_flight:
                self.settle(Outcome(delivered=True, status=200), 0.5)
            elif not len(self.line.lanes) and self.next_commit == len(self.commits):
                break
            else:
                assert self.line.wake_ms(self.now_ms) < limits.NEVER_MS or self.next_commit < len(self.commits)
                self.now_ms = max(self.now_ms + 1, min(self.line.wake_ms(self.now_ms), self.now_ms + 10**9))
        self.write()


@settings(max_examples=400, deadline=None)
@example([[1, 1]], ["take", "send", "hold", "write", "crash", "send"], [(Outcome(delivered=True, status=200), 0.0)])
@given(COMMITS, STEPS, st.lists(st.tuples(OUTCOMES, st.floats(0, 0.999)), min_size=1))
def test_nothing_is_lost_and_order_holds(
    commits: list[list[int | None]], steps: list[str], outcomes: list[tuple[Outcome, float]]
) -> None:
    """Through failures, crashes and replays all ends delivered, parked or given up; counts close; lanes keep order."""
    simulation = Simulation(commits)
    replayed = False
    for n, step in enumerate(steps):
        if step == "crash":
            simulation.start()
        elif step == "settle":
            simulation.settle(*outcomes[n % len(outcomes)])
        else:
            replayed = replayed or step == "replay"
            getattr(simulation, step)()
        assert len(simulation.line.lanes) >= len(simulation.in_flight)
    simulation.finish()
    counts = simulation.shelf.counts
    wanted = [
        (deliveries.sequence(number + 1, index), profile)
        for number, commit in enumerate(commits)
        for index, profile in enumerate(commit)
    ]
    assert counts["taken"] == len(wanted)
    assert not simulation.shelf.pending
    parked = set(simulation.shelf.parked)
    for profile in {profile for _, profile in wanted if profile is not None}:
        first: list[int] = list(dict.fromkeys(simulation.accepted[profile]))
        mine = [seq for seq, other in wanted if other == profile]
        assert set(mine) <= set(first) | parked | simulation.given_up
        if not replayed:
            assert first == sorted(first)


@given(st.integers(2, 40), st.integers(1, 5))
def test_a_failing_profile_holds_up_no_other(others: int, each: int) -> None:
    """While one profile's delivery always fails, all those of others go out, and only that profile's wait."""
    commits: list[list[int | None]] = [[1, *range(2, others + 2)] for _ in range(each)]
    simulation = Simulation(commits)
    for _ in range(len(commits)):
        simulation.take()
    for _ in range(others * each * 4):
        simulation.send()
        if not simulation.in_flight:
            break
        bad = simulation.in_flight[0].profile == 1
        outcome = (
            Outcome(delivered=False, status=500, reason="http_500") if bad else Outcome(delivered=True, status=200)
        )
        simulation.settle(outcome, 0.9)
    simulation.write()
    assert simulation.shelf.counts["delivered"] == others * each
    assert simulation.shelf.counts["pending"] == each
    assert simulation.shelf.low_water == len(commits)


@given(st.lists(st.booleans(), min_size=50, max_size=300))
def test_a_flapping_destination_is_probed_at_most_once_a_second(flaps: list[bool]) -> None:
    """However outcomes alternate, an open breaker lets through one attempt at a time, and at most one a second."""
    line = Line(Ledger("d", 0, {}), 8)
    line.ledger.begin(1)
    for index in range(1000):
        line.add(Delivery(deliveries.sequence(1, index), str(index), index + 1, "event", b"x"))
    line.ledger.end(1)
    now_ms, probed_ms = 1_000_000, 0
    for ok in flaps:
        was_open = line.breaker.state == "open"
        if delivery := line.next(now_ms):
            if was_open:
                assert now_ms - probed_ms >= 1000
                probed_ms = now_ms
                assert line.next(now_ms) is None
            line.settle(delivery, Outcome(delivered=ok, status=200 if ok else 500, reason="x"), now_ms, 0.5)
        now_ms += 100


def test_a_retry_waits_for_its_schedule_and_then_parks() -> None:
    """A delivery that always fails is tried once and then at each wait of the schedule, and parks with the reason."""
    line = Line(Ledger("d", 0, {}), 1)
    line.ledger.begin(1)
    line.add(Delivery(deliveries.sequence(1, 0), "k", 7, "event", b"x"))
    line.ledger.end(1)
    now_ms, waits = 1_000_000, []
    while True:
        delivery = line.next(now_ms)
        assert delivery
        line.settle(delivery, Outcome(delivered=False, status=500, reason="http_500"), now_ms, 0.999999)
        if delivery.state == "parked":
            break
        waits.append(delivery.due_ms - now_ms)
        now_ms = max(delivery.due_ms, line.wake_ms(now_ms))
    assert [round(wait / 1000) for wait in waits] == list(limits.DELIVERY_RETRY_SCHEDULE_S)
    progress = line.progress()
    assert progress
    assert progress.counts == {"taken": 1, "parked.http_500": 1}


def test_room_is_bounded() -> None:
    """A destination takes no more than DELIVERY_LANES_MAX deliveries, nor DELIVERY_LANES_MAX_BYTES of payloads."""
    line = Line(Ledger("d", 0, {}), 1)
    line.ledger.begin(1)
    big = b"x" * (limits.DELIVERY_LANES_MAX_BYTES // 4)
    for index in range(4):
        assert line.room() == limits.DELIVERY_LANES_MAX - index
        line.add(Delivery(deliveries.sequence(1, index), "k", index + 1, "event", big))
    assert line.room() == 0
    line.hold()
    assert line.room() == limits.DELIVERY_LANES_MAX - 4
