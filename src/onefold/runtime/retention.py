"""Retention: now and then, forget log records and effects that are old and that nobody needs any more.

A record may go once it is folded and delivered; a commit's effects once every destination has taken them.
"""

from collections.abc import Iterator

import structlog

from onefold.clock import Clock
from onefold.errors import StorageError
from onefold.model.effect import AnyEffect
from onefold.model.position import split
from onefold.settings import Settings
from onefold.storage.deliveries_lmdb import DeliveryStore
from onefold.storage.directory import DataDirectory
from onefold.storage.log_lmdb import LmdbLogWriter
from onefold.storage.log_partition import Retention as LogRetention
from onefold.storage.state_lmdb import LmdbState

_EVERY_S = 10.0
_LOOK_BATCH = 16

log = structlog.get_logger("retention")


class Retention:
    """Runs in the first worker, which writes log and state anyway."""

    def __init__(
        self, settings: Settings, directory: DataDirectory, writer: LmdbLogWriter, state: LmdbState, clock: Clock
    ) -> None:
        self._settings = settings
        self._writer = writer
        self._state = state
        self._directory = directory
        self._clock = clock
        self._next_s = clock.monotonic_s() + _EVERY_S

    def now_and_then(self) -> None:
        """Trim if it is time to; trouble is logged, since folding must go on."""
        now_s = self._clock.monotonic_s()
        if now_s < self._next_s:
            return
        self._next_s = now_s + _EVERY_S
        try:
            self.trim()
        except StorageError as error:
            log.warning("could not trim", error=str(error))

    def trim(self) -> None:
        """Remove what is past its time and needed by nobody."""
        self._trim_effects()
        needed = self._first_needed()
        retention = LogRetention(self._settings.log_retention_s * 1000, self._settings.log_retention_bytes)
        for partition, offset in needed.items():
            self._writer.trim(partition, offset, retention)

    def _trim_effects(self) -> None:
        """Forget the effects of commits that are old and that every destination has taken."""
        old_ms = self._clock.now_ms() - self._settings.effects_retention_s * 1000
        taken = self._taken()
        before = 0
        for number, _, effects in self._look(0):
            if number > taken or effects[-1].at_ms > old_ms:
                break
            before = number + 1
        if before:
            self._state.trim_effects(before)

    def _taken(self) -> int:
        store = DeliveryStore(self._directory.deliveries, readonly=True)
        try:
            return store.low_water()
        finally:
            store.close()

    def _look(self, after: int) -> Iterator[tuple[int, int, list[AnyEffect]]]:
        while commits := self._state.effects(after, _LOOK_BATCH):
            yield from commits
            after = commits[-1][0]

    def _first_needed(self) -> dict[int, int]:
        """Partition → offset of the first record that an effect still points to, or that is not folded yet.

        Effects follow their partition's order, so the first commit of a partition that is kept has the oldest ones.
        A partition that is not among the first commits is left alone this time.
        """
        commits = self._state.effects(0, _LOOK_BATCH)
        cursors = {p: self._state.cursor(p).offset for p in range(self._writer.partitions)}
        if not commits:
            return cursors
        first: dict[int, int] = {}
        for _, partition, effects in commits:
            if partition not in first:
                first[partition] = min(split(effect.position)[0] for effect in effects)
        return {partition: min(offset, cursors[partition]) for partition, offset in first.items()}
