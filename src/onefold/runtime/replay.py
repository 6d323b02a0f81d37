"""Replay: fold the whole log again into a scratch state, and hold the result against the live one (I2)."""

import tempfile
from collections.abc import Callable, Iterator
from itertools import groupby
from operator import itemgetter
from pathlib import Path

from msgspec import Struct

from onefold.core.digest import digest_of_people
from onefold.errors import NotFoundError
from onefold.limits import STEP_MAX_EVENTS
from onefold.model import profile as profiles
from onefold.model.definitions import Definitions
from onefold.model.position import split
from onefold.model.profile import Profile
from onefold.ports import LogReader, State
from onefold.runtime.folding import Folding
from onefold.runtime.heap import without_collector
from onefold.runtime.programs import Programs
from onefold.storage.directory import DataDirectory
from onefold.storage.log_lmdb import LmdbLogReader
from onefold.storage.state_lmdb import LmdbState, Options

_PAGE = 10_000
_COMMITS = 256

Progress = Callable[[int, int], None]
"""(records folded, records in all)."""


class Verification(Struct):
    """What a replay found. `equal`: every part of the state is the same, byte for byte."""

    records: int
    events: int
    live: dict[str, str]
    replayed: dict[str, str]
    people_live: str
    people_replayed: str

    @property
    def equal(self) -> bool:
        """The same bytes everywhere."""
        return self.live == self.replayed

    @property
    def same_people(self) -> bool:
        """The same people with the same traits and memberships, whatever their bytes."""
        return self.people_live == self.people_replayed


def verify(data: Path, progress: Progress) -> Verification:
    """Replay the log of a data directory, running or stopped, up to where a copy of its state has come.

    Raises `NotFoundError` where retention has already removed the beginning of the log.
    """
    directory = DataDirectory.open(data, create=False)
    reader = LmdbLogReader(directory.log)
    with tempfile.TemporaryDirectory(prefix="onefold-replay-") as scratch:
        live = _snapshot(directory, Path(scratch) / "live")
        replayed = LmdbState(Path(scratch) / "replayed", options=Options(scratch=True))
        try:
            with without_collector():
                records = replay(reader, live, replayed, progress)
            return Verification(
                records=records,
                events=replayed.counts().get("received", 0),
                live=live.digest(),
                replayed=replayed.digest(),
                people_live=_people(live, reader.partitions),
                people_replayed=_people(replayed, reader.partitions),
            )
        finally:
            live.close()
            replayed.close()
            reader.close()


def _snapshot(directory: DataDirectory, target: Path) -> LmdbState:
    """A copy of the live state, so that folding may go on meanwhile."""
    state = LmdbState(directory.state, readonly=True)
    try:
        state.backup(target)
    finally:
        state.close()
    return LmdbState(target, readonly=True)


def replay(reader: LogReader, live: State, into: State, progress: Progress) -> int:
    """Fold the log into an empty state, partition by partition in the order in which `live` committed them."""
    ends = {partition: live.cursor(partition).offset for partition in range(reader.partitions)}
    for partition in ends:
        first, _ = reader.ends(partition)
        if first > 0:
            raise NotFoundError(
                f"partition {partition} begins at record {first}: retention has removed what was before, so the "
                "state cannot be rebuilt from this log alone; use a backup"
            )
    folding = Folding(reader, into, Programs(_in_the_log))
    total, done = sum(ends.values()), 0
    progress(done, total)
    for partition, until in _order(live, ends):
        while folding.cursor(partition).offset < until:
            done += folding.advance(partition, STEP_MAX_EVENTS, until)
            progress(done, total)
    return done


def _in_the_log(version: int) -> Definitions:
    raise NotFoundError(f"definitions version {version} are in force, but no entry of the log has them")


def _order(live: State, ends: dict[int, int]) -> Iterator[tuple[int, int]]:
    """(partition, offset to fold up to), as the live effects tell in what order partitions were committed.

    What a partition committed in a row is one step here: a replay's commits cost as much as live ones.
    """
    commits = _commits(live) if len(ends) > 1 else iter(())
    for partition, row in groupby(commits, key=itemgetter(0)):
        yield partition, max(until for _, until in row)
    yield from ends.items()


def _commits(live: State) -> Iterator[tuple[int, int]]:
    """(partition, offset after it) of each live commit that had effects."""
    after = 0
    while commits := live.effects(after, _COMMITS):
        for _, partition, effects in commits:
            yield partition, max(split(effect.position)[0] for effect in effects) + 1
        after = commits[-1][0]


def _people(state: State, partitions: int) -> str:
    return digest_of_people(_all_profiles(state, partitions))


def _all_profiles(state: State, partitions: int) -> Iterator[Profile]:
    for partition in range(partitions):
        after = 0
        while ids := state.profile_ids(partition, after, _PAGE):
            loaded = state.load((), ids, ())
            for data in loaded.profiles.values():
                yield profiles.decode(data)
            after = ids[-1]
