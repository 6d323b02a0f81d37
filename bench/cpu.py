"""CPU seconds of a process with all that it has started: a server is counted whole whose children come and go.

Also for how long a process has waited for a core while it could have gone on, as the system's scheduler knows it.
"""

import os
from collections import defaultdict
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

_TICKS = os.sysconf("SC_CLK_TCK")
_ATTEMPTS = 10


class _Stat(NamedTuple):
    parent: int
    own: int
    """Ticks of the process itself, user and system."""
    ended: int
    """Ticks of its children that have ended and were waited for, and of theirs."""


def tree_cpu_s(root: int) -> float:
    """CPU seconds of a process, of its descendants, and of those of them that have ended and were waited for.

    Of two calls the later one gives as much or more, as long as who ends is waited for by its parent; to a tick
    (10 ms) a process. Raises `ProcessLookupError` where there is no such process.
    """
    for _ in range(_ATTEMPTS):
        before, after = _tree(root), _tree(root)
        # Who ended in between would be in nobody's sum, or in two.
        if before.keys() == after.keys() and _ended(before) == _ended(after):
            break
    return sum(stat.own + stat.ended for stat in after.values()) / _TICKS


class Cores(NamedTuple):
    """What a process has had of the cores, over all of its threads."""

    used_s: float
    waited_s: float
    """For how long its threads could have run, and none was free; threads that waited side by side count each."""

    def __sub__(self, before: "Cores") -> "Cores":
        """What came since."""
        return Cores(self.used_s - before.used_s, self.waited_s - before.waited_s)


def cores(pid: int) -> Cores:
    """What the threads that a process has now have had of the cores so far (Linux: `schedstat`)."""
    used_ns = waited_ns = 0
    for thread in Path(f"/proc/{pid}/task").iterdir():
        with suppress(OSError):  # it has ended
            used, waited, _ = (thread / "schedstat").read_text().split()
            used_ns, waited_ns = used_ns + int(used), waited_ns + int(waited)
    return Cores(used_ns / 1e9, waited_ns / 1e9)


def _ended(tree: dict[int, _Stat]) -> list[int]:
    return [stat.ended for stat in tree.values()]


def _tree(root: int) -> dict[int, _Stat]:
    stats = {pid: stat for pid in _pids() if (stat := _stat(pid)) is not None}
    if root not in stats:
        raise ProcessLookupError(f"there is no process {root}")
    children: defaultdict[int, list[int]] = defaultdict(list)
    for pid, stat in stats.items():
        children[stat.parent].append(pid)
    found, waiting = {}, [root]
    while waiting:
        pid = waiting.pop()
        found[pid] = stats[pid]
        waiting += children[pid]
    return found


def _pids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _stat(pid: int) -> _Stat | None:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return _Stat(int(fields[1]), int(fields[11]) + int(fields[12]), int(fields[13]) + int(fields[14]))
