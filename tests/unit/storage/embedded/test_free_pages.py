"""Free pages of an environment that is swept: commits write side by side, and nothing else is different."""

import random
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from functools import partial
from pathlib import Path

import lmdb
import pytest

from onefold.settings import Settings
from onefold.storage.embedded.lmdb_env import Environment, Options, Txn
from onefold.storage.embedded.state import LmdbState
from onefold.storage.place import Place

PAGE_BYTES = 4096
PEOPLE = 9_000
"""Rows of half a kilobyte: more than a thousand pages."""


def opened(path: Path, *, sweeps: bool, map_bytes: int = 1 << 30) -> Environment:
    """An environment with a row for each of the people."""
    env = Environment(path, Options((b"rows",), map_bytes=map_bytes, sweeps=sweeps))
    env.write(lambda txn: put(txn, env, range(PEOPLE), 0))
    return env


def put(txn: Txn, env: Environment, people: Iterable[int], commit: int) -> None:
    """A row of each of these, as of this commit."""
    txn.cursor(env.dbs[0]).putmulti([(b"%08d" % one, b"%08d" % commit * 60) for one in people])


def commits(env: Environment, many: int) -> Iterator[None]:
    """So many commits, each of sixty people."""
    chance = random.Random(1)
    for commit in range(1, many + 1):
        some = chance.sample(range(PEOPLE), 60)
        env.write(partial(put, env=env, people=some, commit=commit))
        yield


def pages(path: Path) -> list[bytes]:
    """The file, page by page."""
    data = (path / "data.mdb").read_bytes()
    return [data[at : at + PAGE_BYTES] for at in range(0, len(data), PAGE_BYTES)]


def writes(path: Path, env: Environment, many: int) -> float:
    """Pieces of the file that a commit writes on average, over the last twenty of so many."""
    pieces = 0
    before: list[bytes] = []
    for n, _ in enumerate(commits(env, many)):
        if n < many - 21:
            continue
        after = pages(path)
        changed = {at for at, page in enumerate(after) if at >= len(before) or page != before[at]}
        if before:
            pieces += sum(at - 1 not in changed for at in changed)
        before = after
    return pieces / 20


def test_commits_write_side_by_side(tmp_path: Path) -> None:
    """Swept, a commit writes at most three pieces of the file where it writes four otherwise."""
    with closing(opened(tmp_path / "a", sweeps=True)) as swept, closing(opened(tmp_path / "b", sweeps=False)) as other:
        assert writes(tmp_path / "a", swept, 120) < writes(tmp_path / "b", other, 120) * 3 / 4


def test_the_file_does_not_grow_for_ever(tmp_path: Path) -> None:
    """Once more pages wait to be free than are in use, sweeps end before they need more."""
    with closing(opened(tmp_path, sweeps=True)) as env:
        sizes = [env.stats().used_bytes for _ in commits(env, 1_000)]
        assert sizes[-1] == pytest.approx(sizes[-200], rel=0.01)
        assert sizes[-1] < 3 * sizes[0]


def test_what_is_read_is_what_was_written(tmp_path: Path) -> None:
    """Both ways the rows are the same, also after the environment was opened anew."""
    found = []
    for sweeps in (True, False):
        path = tmp_path / str(sweeps)
        with closing(opened(path, sweeps=sweeps)) as env:
            list(commits(env, 60))
        with closing(Environment(path, Options((b"rows",), readonly=True))) as env, env.read() as txn:
            found.append([row for row in txn.cursor(env.dbs[0]) if len(row[0]) == 8])
    assert found[0] == found[1]
    assert len(found[0]) == PEOPLE


def test_a_map_that_is_too_small_grows_all_the_same(tmp_path: Path) -> None:
    """The reader of a sweep does not keep the map from growing."""
    with closing(opened(tmp_path, sweeps=True, map_bytes=1 << 20)) as env:
        list(commits(env, 60))
        assert env.stats().map_bytes > env.stats().used_bytes > 1 << 20


def test_a_commit_needs_no_reader(tmp_path: Path) -> None:
    """Where all places of readers are taken commits are made as ever."""
    opened(tmp_path, sweeps=False).close()
    with closing(Environment(tmp_path, Options((b"rows",), sweeps=True))) as env:
        readers: list[lmdb.Transaction] = []
        with suppress(lmdb.ReadersFullError):
            while True:
                readers.append(env._shared.env.begin())  # as other processes would
        list(commits(env, 3))
        readers.clear()
        with env.read() as txn:
            assert txn.stat(env.dbs[0])["entries"] == PEOPLE


@pytest.mark.parametrize("workers", [1, 2])
def test_only_who_writes_alone_keeps_a_reader(tmp_path: Path, workers: int) -> None:
    """With several workers the reader of one that rests would let the file grow."""
    settings = Settings(data=tmp_path, workers=workers)
    with closing(Place.open(settings).state()) as state:
        assert isinstance(state, LmdbState)
        assert (state._env._shared.sweeps is not None) == (workers == 1)
