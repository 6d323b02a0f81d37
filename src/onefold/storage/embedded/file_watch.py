"""How a follower learns that a file was written, without looking again and again: inotify, where the system has it.

The writer need not know who follows, and pays nothing for those who do not.
"""

import ctypes
import os
import sys
from pathlib import Path

_IN_MODIFY = 0x00000002


def written(*files: Path) -> int | None:
    """A file descriptor that can be read from after each write to any of these files; None: this system cannot tell.

    Reading never blocks; what is read says nothing more. The caller closes it.
    """
    if sys.platform != "linux":
        return None
    system = ctypes.CDLL(None, use_errno=True)
    descriptor: int = system.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
    if descriptor < 0:
        return None
    for file in files:
        if system.inotify_add_watch(descriptor, os.fsencode(file), _IN_MODIFY) < 0:
            os.close(descriptor)
            return None
    return descriptor
