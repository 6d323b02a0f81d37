"""Whoever is measured is measured whole: with the processes that it has started, also those that have ended."""

import os
import subprocess
import sys
import threading
import time

import pytest

from bench.cpu import cores, tree_cpu_s

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


def test_what_all_threads_have_used_and_waited_for_is_counted() -> None:
    """A thread beside the first counts as it does, and nothing that was used or waited for is ever taken back."""
    before = cores(os.getpid())
    burnt, counted = threading.Event(), threading.Event()
    thread = threading.Thread(target=_burn, args=(burnt, counted))
    thread.start()
    burnt.wait()
    spent = cores(os.getpid()) - before
    counted.set()
    thread.join()
    assert spent.used_s >= BURN_S / 2
    assert spent.waited_s >= 0


def _burn(burnt: threading.Event, counted: threading.Event) -> None:
    while time.thread_time() < BURN_S:
        pass
    burnt.set()
    counted.wait()
