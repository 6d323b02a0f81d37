"""A clock that is moved by hand, so that no test waits and no test depends on the time of day."""

from random import Random


class ManualClock:
    """As `onefold.clock.Clock`; stands still until it is moved. Its random bytes are the same in every run."""

    def __init__(self, now_ms: int = 1_700_000_000_000, seed: int = 0) -> None:
        self._now_ms = now_ms
        self._monotonic_ms = 0
        self._random = Random(seed)  # noqa: S311 - a test's, which must be able to repeat itself

    def now_ms(self) -> int:
        """Milliseconds since 1970-01-01 UTC."""
        return self._now_ms

    def monotonic_s(self) -> float:
        """Seconds that never go back."""
        return self._monotonic_ms / 1000

    def random_bytes(self, n: int) -> bytes:
        """Bytes that look random, and repeat with the seed."""
        return self._random.randbytes(n)

    def advance(self, ms: int) -> None:
        """Let time pass."""
        assert ms >= 0
        self._now_ms += ms
        self._monotonic_ms += ms

    def jump(self, ms: int) -> None:
        """Set the wall clock forward or back, as an operator or NTP does; durations do not notice."""
        self._now_ms += ms
