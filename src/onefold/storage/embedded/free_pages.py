"""Pages that are free are used in sweeps through the file, so that what a commit writes lies side by side.

LMDB never writes over a page that is in use: each commit takes others, and those that it replaces are free two commits
later. Left to itself it takes just these, the lowest first, which lie as scattered as the people whom the commit before
the last was about: four hundred writes for the five hundred pages of three hundred events. Disks count writes, not
pages. So here a reader is kept, for whose sake no page becomes free until as many wait as are in use; then all of them
do at once, and the next commits sweep through them from the front to the back. The file is larger for it: mostly two
and a half times what is in use, at most five.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import lmdb

from onefold.limits import MIB

if TYPE_CHECKING:
    Txn = lmdb.Transaction[bytes]
else:
    Txn = lmdb.Transaction

WAITING_MAX_BYTES = 512 * MIB
"""No more than that waits in a file that has more in use."""
COMMITS_MAX = 1_000
"""A sweep has no more commits: a reader who is many behind looks like one that hangs."""
_RUN_BYTES = MIB
"""LMDB puts its free pages into one order only when it looks for so many side by side, and as far as it has to look. So
a value of this size is given up when a sweep ends, as the last of what waits, and taken again when the next begins."""
_RUN_KEY = b"run"
_SHARE = 0.9
"""Of the commits after which the file had to grow a sweep has no more, once the file is as large as it should be."""
_LONGER = 1.02
"""A sweep has so many times the commits of the one before: they may have become smaller."""
_GROW_TO, _GROW_MAX = 1.5, 4.0
"""Times as many pages as are in use that wait or are free: up to here sweeps end when the file grows, up to there they
become longer."""
_REST_COMMITS = 4
"""At least between two sweeps: until no reader in other processes sees what is from before."""


class Sweeps:
    """For one environment, of which nobody else is a writer for long: a reader that rests would let the file grow."""

    def __init__(self) -> None:
        self._reader: Txn | None = None
        self._since = 0
        """The commit that the reader sees."""
        self._pages = 0
        """How large the file was at the last look."""
        self._rest = 0
        """Commits until the next sweep begins."""
        self._lasted = float(COMMITS_MAX)
        """For how many commits there were pages in the last sweep, as far as is known."""

    def look(self, env: lmdb.Environment, txn: Txn, dbs: Sequence[Any]) -> None:
        """At the beginning of a write transaction: end the sweep of which nothing is left, or begin the next one."""
        info = env.info()
        pages, newest = info["last_pgno"] + 1, info["last_txnid"]
        grown, self._pages = pages > self._pages, pages
        if self._reader is None:
            self._rest -= 1
            if self._rest <= 0 and 2 * _RUN_BYTES < pages * txn.stat()["psize"] < info["map_size"] - 2 * _RUN_BYTES:
                self._begin(env, txn, dbs[0], newest)
        elif self._is_over(newest - self._since, partial(_waiting, txn, dbs, pages), grown=grown):
            self.end()
            txn.delete(_RUN_KEY, db=dbs[0])

    def end(self) -> None:
        """Let the reader go."""
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.abort()

    def _is_over(self, commits: int, waiting: Callable[[], float], *, grown: bool) -> bool:
        """Whether a sweep of so many commits ends: where the file is large enough, rather before it grows than after.

        What is left then is used up first, together with what waits no longer, before the next sweep begins.
        """
        if grown:
            if waiting() < 1:
                return False
            self._lasted, self._rest = float(commits), _REST_COMMITS
            return True
        if commits < min(COMMITS_MAX, _SHARE * self._lasted):
            return False
        if (share := waiting()) < _GROW_TO and commits < COMMITS_MAX:
            return False
        self._rest = max(_REST_COMMITS, int(2 * (1 - _SHARE) * commits))
        if share < _GROW_MAX:
            self._lasted = min(COMMITS_MAX, _LONGER * self._lasted)
        return True

    def _begin(self, env: lmdb.Environment, txn: Txn, db: Any, newest: int) -> None:
        with suppress(lmdb.ReadersFullError):
            self._reader, self._since = env.begin(), newest
            txn.put(_RUN_KEY, bytes(_RUN_BYTES), db=db)


def _waiting(txn: Txn, dbs: Sequence[Any], pages: int) -> float:
    """In a file of so many pages, how many are free or wait to be for each that is in use, or might be so at most."""
    stats = [txn.stat(), *(txn.stat(db) for db in dbs)]
    used = sum(stat["branch_pages"] + stat["leaf_pages"] + stat["overflow_pages"] for stat in stats)
    return float((pages - used) / min(used, WAITING_MAX_BYTES // stats[0]["psize"]))
