"""The one door for time and randomness. The core never comes here: its time arrives in the log."""

import secrets
import time
from typing import Protocol


class Clock(Protocol):
    """Wall time, waiting, and random bytes; `onefold.testing.clock` has one that is moved by hand."""

    def now_ms(self) -> int:
        """Milliseconds since 1970-01-01 UTC."""
        ...

    def monotonic_s(self) -> float:
        """Seconds that never go back; for durations only."""
        ...

    def random_bytes(self, n: int) -> bytes:
        """Bytes fit for keys."""
        ...


class SystemClock:
    """The machine's clock and its source of randomness."""

    def now_ms(self) -> int:
        """Milliseconds since 1970-01-01 UTC."""
        return time.time_ns() // 1_000_000

    def monotonic_s(self) -> float:
        """Seconds that never go back; for durations only."""
        return time.monotonic()

    def random_bytes(self, n: int) -> bytes:
        """Bytes fit for keys."""
        return secrets.token_bytes(n)
