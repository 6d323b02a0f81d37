"""Whoever is measured is measured whole: with the processes that it has started, also those that have ended."""

import subprocess
import sys

import pytest

from bench.cpu import tree_cpu_s

BURN_S = 0.3
_BURN = f"import time\nwhile time.process_time() < {BURN_S}: pass\n"
_PARENT = f"""
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", {_BURN!r} + "print(flush=True); input()"], stdin=subprocess.PIPE)
sys.stdin.readline()
child.communicate(b"end")
print(flush=True)
sys.stdin.readline()
"""


def test_children_count_while_they_live_and_after_they_have_ended() -> None:
    """A parent that does nothing costs what its child has cost, and no less once the child is gone."""
    with subprocess.Popen(
        [sys.executable, "-c", _PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    ) as parent:
        assert parent.stdin is not None
        assert parent.stdout is not None
        parent.stdout.readline()
        living_s = tree_cpu_s(parent.pid)
        parent.stdin.write("\n")
        parent.stdout.readline()
        ended_s = tree_cpu_s(parent.pid)
        parent.stdin.write("\n")
    assert BURN_S <= living_s <= ended_s + 0.02


def test_nobody_has_no_cpu() -> None:
    """A process that is not there is refused, not counted as nothing."""
    with pytest.raises(ProcessLookupError):
        tree_cpu_s(2**22 + 1)
