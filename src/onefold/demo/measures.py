"""Everything that the demo shows, as numbers and lines: the screen reads them, the players write them."""

import time
from collections import Counter, deque
from dataclasses import dataclass, field

RATE_WINDOW_S = 5.0


class Latencies:
    """Seconds, kept whole, as percentiles in milliseconds."""

    def __init__(self) -> None:
        self._seconds: list[float] = []

    def add(self, seconds: float) -> None:
        """One more."""
        self._seconds.append(seconds)

    def __len__(self) -> int:
        return len(self._seconds)

    def percentile_ms(self, share: float) -> float:
        """The smallest latency that this share did not exceed; 0 without any."""
        if not self._seconds:
            return 0.0
        ordered = sorted(self._seconds)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1000

    def summary(self) -> dict[str, float]:
        """p50, p95 and p99 in milliseconds, and how many there were."""
        shares = {"p50_ms": 0.5, "p95_ms": 0.95, "p99_ms": 0.99}
        return {name: round(self.percentile_ms(share), 2) for name, share in shares.items()} | {"samples": len(self)}


class Rate:
    """Events a second over the last few seconds."""

    def __init__(self) -> None:
        self._marks: deque[tuple[float, int]] = deque()

    def add(self, events: int) -> None:
        """So many, now."""
        self._marks.append((time.monotonic(), events))

    def per_s(self) -> float:
        """How many a second."""
        since = time.monotonic() - RATE_WINDOW_S
        while self._marks and self._marks[0][0] < since:
            self._marks.popleft()
        if not self._marks:
            return 0.0
        return sum(n for _, n in self._marks) / max(1.0, min(RATE_WINDOW_S, time.monotonic() - self._marks[0][0]))


@dataclass
class Chapter:
    """One step of a person's story: what she did, and what the platform made of it."""

    at_s: float
    where: str
    did: str
    became: list[str]
    took_ms: float


@dataclass
class Incident:
    """Something that is done to the platform while it works."""

    at_s: float
    text: str
    over: bool = False
    """It is mended again."""


@dataclass
class Audience:
    """How an audience moves."""

    size: int = 0
    entered: int = 0
    left: int = 0
    left_by_time: int = 0
    changed_at_s: float = 0.0


@dataclass
class Measures:
    """All of it. `sent` counts events in acknowledged requests, the repeated ones too."""

    began_s: float = field(default_factory=time.monotonic)
    sent: int = 0
    resent: int = 0
    """Events in requests that were refused or not answered, each time; they were sent again."""
    unsure: int = 0
    """Those of them that may have been taken all the same."""
    rate: Rate = field(default_factory=Rate)
    folded: Counter[str] = field(default_factory=Counter)
    """received, admitted, duplicate, as the platform counts them since the demo began."""
    quarantined: Counter[str] = field(default_factory=Counter)
    profiles: int = 0
    merges: int = 0
    refused_links: int = 0
    audiences: dict[str, Audience] = field(default_factory=dict)
    acknowledged: Latencies = field(default_factory=Latencies)
    visible: Latencies = field(default_factory=Latencies)
    webhook: Latencies = field(default_factory=Latencies)
    delivered: int = 0
    pending: int = 0
    parked: int = 0
    received: int = 0
    forged: int = 0
    heroine: str = ""
    story: list[Chapter] = field(default_factory=list)
    incidents: list[Incident] = field(default_factory=list)
    trouble: str = ""

    def elapsed_s(self) -> float:
        """Since the demo began."""
        return time.monotonic() - self.began_s

    def happened(self, text: str, *, over: bool = False) -> None:
        """Tell of an incident, now; `over`: of its end."""
        self.incidents.append(Incident(self.elapsed_s(), text, over))

    def settled(self) -> int:
        """Events of which the platform has said what became of them."""
        return self.folded["admitted"] + self.folded["duplicate"] + self.quarantined.total()

    def account_closes(self) -> bool:
        """Whether nothing has vanished, and everything that was due was delivered and verified.

        What was sent again after a try of which nobody knows may have been received as often as it was tried.
        """
        return (
            self.sent <= self.folded["received"] <= self.sent + self.unsure
            and self.folded["received"] == self.settled()
            and not self.pending
            and not self.parked
            and not self.forged
            and self.delivered == self.received > 0
        )
