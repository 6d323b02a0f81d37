"""Pages that are free are used in sweeps through the file, so that what a commit writes lies side by side.

LMDB never writes over a page that is in use: each commit takes others, and those that it replaces are free two commits
later. Left to itself it takes just these, the lowest first, which lie as scattered as the people whom the commit before
the last was about: four hundred writes for the five hundred pages of three hundred events. Disks count writes, not
pages. So here a reader is kept, for whose sake no page becomes free until two and a half times as many wait as are in
use; then all of them do at once, and the next commits sweep through them from the front to the back. The file is larger
for it: mostly three and a half times what is in use, at most five.
"""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lmdb

from onefold.limits import MIB
from onefold.storage.embedded import lmdb_file

if TYPE_CHECKING:
    Txn = lmdb.Transaction[bytes]
else:
    Txn = lmdb.Transaction

WAITING_MAX_BYTES = 512 * MIB
"""In a file that has more in use, as many wait as if it were that."""
COMMITS_MAX = 1_000
"""A sweep has no more commits: a reader who is many behind looks like one that hangs."""
_RUN_BYTES, _RUN_SHARE = 4 * MIB, 16
"""LMDB puts its free pages into one order only when it looks for many side by side, and as far as it has to look. So a
value of this size, or of that of a commit, which may leave as many side by side, but of no more than a sixteenth of the
file, is given up when a sweep ends, as the last of what waits, and asked for when the next begins."""
_RUN_KEY = b"run"
_ENOUGH, _MOST = 2.5, 4.0
"""Times as many pages as are in use that wait or are free. Up to here a sweep that has come to the end of the file goes
on behind it, where all lies side by side; beyond there no page waits that is needed."""
_REST_COMMITS = 3
"""Between the end of a sweep and the next: until no reader in other processes sees what is from before. There are pages
left for them, as the next sweep would find what they replace, and only that, in no order."""
_FORGOTTEN = 0.5
"""Of the largest commit's way through the file that is expected again, from one commit to the next."""


class Sweeps:
    """For one environment, of which nobody else is a writer for long: a reader that rests would let the file grow."""

    def __init__(self) -> None:
        self._reader: Txn | None = None
        self._since = 0
        """The commit that the reader sees."""
        self._pages = 0
        """How large the file was at the last look."""
        self._rest = 0
        """Commits until the next sweep begins, where one is over."""
        self._at = 0
        """The page that the sweep had come to at the last look."""
        self._way = 0.0
        """How far a commit comes, as far as is known."""
        self._run_bytes = 0
        """What is taken, or was given up last."""

    def look(self, env: lmdb.Environment, txn: Txn, dbs: Sequence[Any]) -> None:
        """At the beginning of a write transaction: end the sweep of which little is left, or begin the next one."""
        info, page_bytes = env.info(), txn.stat()["psize"]
        pages, newest = info["last_pgno"] + 1, info["last_txnid"]
        grown, self._pages = pages > self._pages, pages
        if self._reader is not None and grown and _waiting(txn, dbs, pages) >= _MOST:
            self._give_up(txn, dbs[0])
            self.end()
        elif self._reader is not None and not self._rest:
            self._follow(lmdb_file.root(Path(env.path()), newest, page_bytes))
            if self._is_over(txn, dbs, newest):
                self._give_up(txn, dbs[0])
        elif self._rest > 1:
            self._rest -= 1
        elif 2 * _RUN_BYTES < pages * page_bytes < info["map_size"] - 2 * _RUN_BYTES:
            self.end()
            self._begin(env, txn, dbs[0], newest)

    def end(self) -> None:
        """Let the reader go."""
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.abort()

    def _follow(self, at: int) -> None:
        if self._at:  # Where a sweep begins a commit takes a run as well.
            self._way = max(at - self._at, _FORGOTTEN * self._way)
        self._at = at

    def _is_over(self, txn: Txn, dbs: Sequence[Any], newest: int) -> bool:
        """Whether just so much is left as the commits take that come before the next sweep."""
        if newest - self._since >= COMMITS_MAX:
            return True
        left = self._pages - self._at
        return left < (_REST_COMMITS + 1) * self._way and _waiting(txn, dbs, self._pages) >= _ENOUGH

    def _give_up(self, txn: Txn, db: Any) -> None:
        self._rest = _REST_COMMITS
        txn.delete(_RUN_KEY, db=db)

    def _begin(self, env: lmdb.Environment, txn: Txn, db: Any, newest: int) -> None:
        self._rest = self._at = 0
        with suppress(lmdb.ReadersFullError):
            self._reader, self._since = env.begin(), newest
            given_up, page_bytes = self._run_bytes, txn.stat()["psize"]
            self._run_bytes = max(_RUN_BYTES, page_bytes * min(int(self._way), self._pages // _RUN_SHARE))
            if given_up > self._run_bytes:
                txn.put(_RUN_KEY, bytes(given_up), db=db)
            txn.put(_RUN_KEY, bytes(self._run_bytes), db=db)
            self._pages += (given_up + self._run_bytes) // page_bytes  # as far as the file may grow for them


def _waiting(txn: Txn, dbs: Sequence[Any], pages: int) -> float:
    """In a file of so many pages, how many are free or wait to be for each that is in use, or might be so at most."""
    stats = [txn.stat(), *(txn.stat(db) for db in dbs)]
    used = sum(stat["branch_pages"] + stat["leaf_pages"] + stat["overflow_pages"] for stat in stats)
    return float((pages - used) / min(used, WAITING_MAX_BYTES // stats[0]["psize"]))
