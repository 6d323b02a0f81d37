"""Replay: fold the whole log again into a scratch state, and hold the result against the live one (I2)."""

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

from msgspec import Struct

from onefold.core.digest import PeopleDigest
from onefold.errors import NotFoundError
from onefold.limits import STEP_MAX_EVENTS
from onefold.model import effect, recast
from onefold.model import profile as profiles
from onefold.model.definitions import Definitions
from onefold.model.entry import Defined, Recast
from onefold.model.position import split
from onefold.model.profile import JUDGE_ANEW_MS
from onefold.ports import LogReader, State
from onefold.runtime.folding.fold import Folding
from onefold.runtime.folding.programs import Programs
from onefold.runtime.heap import without_collector
from onefold.runtime.large_pages import in_large_pages
from onefold.storage.embedded.state import LmdbState, Options
from onefold.storage.place import Place
from onefold.storage.state_bytes import decode_cursor
from onefold.storage.state_digest import digest_of

_COMMITS = 256

Progress = Callable[[int, int], None]
"""(records folded, records in all)."""
Done = dict[tuple[int, int], bool]
"""(partition, offset) of a recast → whether it was done."""


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


def verify(place: Place, progress: Progress) -> Verification:
    """Replay the log of a platform, running or stopped, up to where its state has come when this begins.

    Wherever log and state lie, the replay folds into a scratch directory. Raises `NotFoundError` where retention has
    already removed the beginning of the log.
    """
    with tempfile.TemporaryDirectory(prefix="onefold-replay-") as scratch, ExitStack() as stack:
        reader = stack.enter_context(closing(place.log_reader()))
        live = stack.enter_context(closing(_still(place, Path(scratch) / "live")))
        replayed = LmdbState(Path(scratch) / "replayed", options=Options(scratch=True))
        stack.callback(replayed.close)
        picture = _picture(live)
        with without_collector(), in_large_pages():
            records = replay(reader, live, replayed, progress, picture.ends)
        again = _picture(replayed)
        return Verification(
            records=records,
            events=replayed.counts().get("received", 0),
            live=picture.digests,
            replayed=again.digests,
            people_live=picture.people,
            people_replayed=again.people,
        )


class _Picture(NamedTuple):
    """What one snapshot of a state holds."""

    digests: dict[str, str]
    people: str
    ends: dict[int, int]
    """Partition → how far it is folded."""


def _picture(state: State) -> _Picture:
    """All of it from one pass over the items, so that a state may move on meanwhile."""
    people = PeopleDigest()
    ends: dict[int, int] = {}

    def seen() -> Iterator[tuple[str, bytes, bytes]]:
        for part, key, value in state.items():
            if part == "profiles":
                people.add(profiles.decode(value))
            elif part == "cursors":
                ends[key[0]] = decode_cursor(value).offset
            yield part, key, value

    return _Picture(digest_of(seen()), people.hex(), ends)


def _still(place: Place, target: Path) -> State:
    """The live state, or where it lies in a directory a copy: whoever reads a picture there holds up its writer."""
    live = place.state(readonly=True)
    if not isinstance(live, LmdbState):
        return live
    try:
        live.backup(target)
    finally:
        live.close()
    return LmdbState(target, readonly=True)


def replay(
    reader: LogReader, live: State, into: State, progress: Progress, ends: Mapping[int, int] | None = None
) -> int:
    """Fold the log into an empty state, partition by partition in the order in which `live` committed them.

    `ends`: how far each partition is to be folded; as far as it is now, where it is not given.
    """
    if ends is None:
        ends = {partition: live.cursor(partition).offset for partition in range(reader.partitions)}
    for partition in ends:
        first, _ = reader.ends(partition)
        if first > 0:
            raise NotFoundError(
                f"partition {partition} begins at record {first}: retention has removed what was before, so the "
                "state cannot be rebuilt from this log alone; use a backup"
            )
    done: Done = {}
    folding = Folding(reader, into, Programs(_in_the_log))
    folding.again(done)
    again = _Again(folding, into, ends, progress)
    for partition, until in _order(live, ends, done):
        again.fold(partition, until)
    return again.done


class _Again:
    """Folds the partitions, none before what others had come to when it was folded live.

    Effects tell in what order events were folded, and nothing of entries that changed nobody, which may come late here.
    A recast waits for those that its people were made of. It matters, too, where definitions that are to come begin to
    gather, and where they come into force: `Backfill` and the worker see to it that by then every partition has come so
    far, and so it is here.
    """

    def __init__(self, folding: Folding, state: State, ends: Mapping[int, int], progress: Progress) -> None:
        self._folding, self._state, self._ends, self._progress = folding, state, ends, progress
        self._at_once = STEP_MAX_EVENTS // len(ends) or 1
        """Events of a commit: of every partition as many are read ahead."""
        self._coming: dict[int, dict[str, Any]] = {}
        """Version → what was to come after it."""
        self.done = 0
        progress(0, sum(ends.values()))

    def fold(self, partition: int, until: int) -> None:
        """Fold a partition up to this offset."""
        while self._folding.cursor(partition).offset < until and self._step(partition, until):
            pass

    def _step(self, partition: int, until: int) -> bool:
        """Fold what comes next; False: it waits for what is not to be folded."""
        entry = self._folding.upcoming(partition, until)
        if isinstance(entry, Recast):
            for other, offset in recast.decode(entry.body).reached.items():
                if other != partition:
                    self.fold(other, min(offset, self._ends.get(other, 0)))
        if isinstance(entry, Defined) and entry.version > self._folding.cursor(partition).version:
            before = entry.version - 1
            if (coming := entry.definitions.get("coming")) is not None:
                self._coming[entry.version] = coming
                self._await(partition, lambda other: self._swept(other, before))
            elif _content(self._coming.get(before)) == _content(entry.definitions):
                self._await(partition, lambda other: self._filled(other, before))
        taken = self._folding.advance(partition, self._at_once, until)
        self.done += taken
        self._progress(self.done, sum(self._ends.values()))
        return taken > 0

    def _await(self, partition: int, ready: Callable[[int], bool]) -> None:
        """Fold each other partition until it is ready: up to the entry that made it so, and no further."""
        for other, end in self._ends.items():
            while other != partition and not ready(other) and self._folding.cursor(other).offset < end:
                if not self._step(other, end):
                    break

    def _swept(self, other: int, version: int) -> bool:
        """Whether a partition is under this version and nobody is to be judged again under it."""
        cursor = self._folding.cursor(other)
        if cursor.version != version:
            return cursor.version > version
        return cursor.sweeping < 0 and self._state.next_due_ms(other) > JUDGE_ANEW_MS

    def _filled(self, other: int, version: int) -> bool:
        """Whether a partition is under this version and has all that history holds."""
        cursor = self._folding.cursor(other)
        return cursor.filled < 0 if cursor.version == version else cursor.version > version


def _content(definitions: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """What definitions of an entry say, whatever their version."""
    return None if definitions is None else {key: value for key, value in definitions.items() if key != "version"}


def _in_the_log(version: int) -> Definitions:
    raise NotFoundError(f"definitions version {version} are in force, but no entry of the log has them")


def _order(live: State, ends: Mapping[int, int], done: Done) -> Iterator[tuple[int, int]]:
    """(partition, offset to fold up to), as the live effects tell in what order partitions committed.

    What a partition committed in a row is one step here: a replay's commits cost as much as live ones. What came of
    recasts is in `done` by the time they are folded.
    """
    commits = _commits(live, done) if len(ends) > 1 else iter(())
    for partition, row in groupby(commits, key=itemgetter(0)):
        yield partition, min(ends.get(partition, 0), max(until for _, until in row))
    yield from ends.items()


def _commits(live: State, done: Done) -> Iterator[tuple[int, int]]:
    """(partition, offset after it) of each live commit that had effects."""
    after = 0
    while commits := live.effects(after, _COMMITS):
        for _, partition, effects in commits:
            last = max(split(each.position)[0] for each in effects)
            done |= {
                (partition, split(each.position)[0]): each.applied for each in effects if type(each) is effect.Recast
            }
            yield partition, last + 1
        after = commits[-1][0]
