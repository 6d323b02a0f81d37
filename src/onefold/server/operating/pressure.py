"""How far the workers are behind and how much disk is left: what collect and `/readyz` go by."""

import msgspec
from msgspec import Struct

from onefold.errors import NotFoundError, OnefoldError, Overloaded, Unavailable
from onefold.server.engines import Engines


class _Stamp(Struct):
    """The time of an entry of any kind."""

    at_ms: int


_decode_stamp = msgspec.json.Decoder(_Stamp).decode


class Lag(Struct):
    """How far one partition's folding is behind its log."""

    partition: int
    records: int
    oldest_ms: int
    """Age of the oldest record that is not folded yet; 0: none."""


class Pressure:
    """A cached answer to "may collect take more?"; `check` renews it."""

    def __init__(self, engines: Engines) -> None:
        self._engines = engines
        self._refusal: Overloaded | None = None

    def __call__(self) -> Overloaded | None:
        """Why collect must refuse just now; None where it may go on. Costs nothing."""
        return self._refusal

    def check(self) -> Overloaded | None:
        """Look at the disk and at the workers. Microseconds."""
        self._refusal = self._look()
        return self._refusal

    def _look(self) -> Overloaded | None:
        settings = self._engines.settings
        try:
            free = self._engines.place.free_bytes()
            if free is not None and free < settings.disk_reserve_bytes:
                return Overloaded(f"the disk is nearly full: {free} bytes left", retry_after_s=30)
            if (behind := behind_events(self._engines)) > settings.behind_max_events:
                return Overloaded(f"the workers are about {behind} events behind", retry_after_s=10)
        except Unavailable:
            return None  # The log says itself where it can take no more; what it takes may wait for the state.
        except OnefoldError as error:
            return Overloaded(f"storage cannot be read: {error}", retry_after_s=5)
        return None


def behind_records(engines: Engines) -> dict[int, int]:
    """Records of each partition that are not folded yet."""
    log, state = engines.log, engines.state
    return {p: max(0, log.ends(p)[1] - state.cursor(p).offset) for p in range(log.partitions)}


def behind_events(engines: Engines) -> int:
    """Events that are not folded yet, reckoned from the events that a record has held on average so far."""
    behind = sum(behind_records(engines).values())
    if not behind:
        return 0
    folded = sum(engines.state.cursor(p).offset for p in range(engines.log.partitions))
    received = engines.state.counts().get("received", 0)
    return int(behind * max(1.0, received / folded)) if folded else behind


def lags(engines: Engines) -> list[Lag]:
    """Each partition's lag, with the age of its oldest record that is not folded; reads one record each."""
    now_ms = engines.clock.now_ms()
    return [
        Lag(p, records, _age_ms(engines, p, now_ms) if records else 0) for p, records in behind_records(engines).items()
    ]


def _age_ms(engines: Engines, partition: int, now_ms: int) -> int:
    try:
        records = engines.log.read(partition, engines.state.cursor(partition).offset, 1)
        return max(0, now_ms - _decode_stamp(records[0].data).at_ms) if records else 0
    except (NotFoundError, msgspec.MsgspecError):
        return 0
