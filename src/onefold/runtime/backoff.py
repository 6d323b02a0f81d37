"""When to try again: exponential waits with full jitter, so that those who failed together do not return together."""

from collections.abc import Sequence

from onefold import limits


def wait_ms(attempts: int, jitter: float, retry_after_s: float | None = None) -> int | None:
    """How long to wait after this many failed attempts; None: give up.

    `jitter` is uniform in [0, 1). A wait that the destination asked for is kept, up to DELIVERY_RETRY_AFTER_MAX_S.
    """
    schedule: Sequence[float] = limits.DELIVERY_RETRY_SCHEDULE_S
    if attempts > len(schedule):
        return None
    asked_s = min(retry_after_s or 0.0, limits.DELIVERY_RETRY_AFTER_MAX_S)
    return max(1, int(1000 * max(schedule[attempts - 1] * jitter, asked_s)))
