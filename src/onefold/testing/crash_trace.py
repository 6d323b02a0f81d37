"""What a process did to the files below one directory, seen from outside with strace, as a list of operations.

Files and directories are numbered (0 is the directory itself), so that an operation finds its file whatever
it is called by then. Offsets are followed through `lseek`, duplicated descriptors and O_APPEND: LMDB mixes
`pwrite`, `lseek` with `writev`, and a second descriptor opened with O_DSYNC. What cannot be followed is refused
rather than guessed: writable shared maps, and a second process.
"""

import inspect
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

Workload = Callable[[Path, Callable[[bytes], None]], None]
"""Works in a directory, and calls its second argument with whatever it tells its user to be safe.

A function at the top of a module; the module is loaded anew, by its file, in the process that is recorded.
"""

IGNORED = frozenset({"lock.mdb"})
"""Files that need not outlive a process: LMDB makes its lock file anew when nobody else has it open."""

_CALLS = (
    "?openat,?open,?creat,?close,?dup,?dup2,?dup3,?fcntl,?write,?pwrite64,?writev,?pwritev,?pwritev2,?lseek,?ftruncate,"
    "?truncate,?fallocate,?fsync,?fdatasync,?sync,?syncfs,?rename,?renameat,?renameat2,?link,?linkat,?unlink,?unlinkat,"
    "?mkdir,?mkdirat,?rmdir,?mmap,?sendfile,?copy_file_range,?clone,?clone3,?fork,?vfork"
)
_CHILD = """
import runpy, os, sys
from pathlib import Path
acks = os.open(sys.argv[4], os.O_WRONLY | os.O_CREAT)
runpy.run_path(sys.argv[1], run_name="workload")[sys.argv[2]](Path(sys.argv[3]), lambda data: os.write(acks, data))
"""
_LINE = re.compile(r"(\d+) +(\w+)\((.*)\) += (-?\d+|0x[0-9a-f]+|\?)(?:<|\s|$)")
_UNFINISHED = re.compile(r"(\d+) +(\w+)\((.*) <unfinished \.\.\.>$")
_RESUMED = re.compile(r"(\d+) +<\.\.\. \w+ resumed>(.*)$")
_QUOTED = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
_DESCRIPTOR = re.compile(r"(-?\d+|AT_FDCWD)<")


class Write(NamedTuple):
    """Bytes into a file; `durable`: through a descriptor that syncs each write."""

    file: int
    offset: int
    data: bytes
    durable: bool = False


class Resize(NamedTuple):
    """A file was cut, or grown with zeros."""

    file: int
    size: int


class Link(NamedTuple):
    """Names changed, all at once: (directory, name, file; None: the name is gone)."""

    edits: tuple[tuple[int, str, int | None], ...]


class Sync(NamedTuple):
    """What was done to `file` (None: to all) before operation number `since` is on the disk."""

    file: int | None
    since: int


class Ack(NamedTuple):
    """The process told its user something."""

    data: bytes


Operation = Write | Resize | Link | Sync | Ack


class Trace(NamedTuple):
    """Everything that happened, in order, and which of the numbers are directories."""

    operations: list[Operation]
    directories: set[int]


def unavailable() -> str:
    """Why nothing can be recorded here; empty where it can."""
    if not shutil.which("strace"):
        return "strace is not installed (`make test-services` installs it, or: apt-get install strace)"
    command = ["strace", "-qq", "-o", os.devnull, "true"]
    tried = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own command
    return f"strace may not trace here: {tried.stderr.strip()}" if tried.returncode else ""


def record(workload: Workload, scratch: Path) -> Trace:
    """Run the workload in a new process, in a directory below `scratch`, and return what it did there."""
    root, acks, output = scratch / "traced", scratch / "acks", scratch / "strace"
    root.mkdir(parents=True)
    source = inspect.getsourcefile(workload)
    assert source
    strace = [
        "strace",
        "-f",
        "-qq",
        "-y",
        "-xx",
        "-s",
        str(1 << 28),
        "-o",
        str(output),
        "-e",
        "trace=" + _CALLS,
    ]
    child = [sys.executable, "-c", _CHILD, source, workload.__name__, str(root), str(acks)]
    subprocess.run([*strace, *child], check=True)  # noqa: S603 - our own command
    return parse(output, root, acks)


def parse(output: Path, root: Path, acks: Path) -> Trace:
    """What the output of strace says of the files below `root`, which was empty, and of `acks`."""
    recorder = _Recorder(str(root.resolve()), str(acks.resolve()))
    with output.open() as lines:
        for call in _calls(lines, recorder.operations):
            recorder.take(call)
    return Trace(recorder.operations, set(recorder.entries))


class _Call(NamedTuple):
    process: int
    name: str
    arguments: str
    result: int
    since: int
    """The number of the first operation that this call may not have seen."""

    def strings(self) -> list[bytes]:
        return [bytes.fromhex(text.replace("\\x", "")) for text in _QUOTED.findall(self.arguments)]

    def numbers(self) -> list[int]:
        """The plain numbers among the arguments, after the last string, list or descriptor."""
        rest = self.arguments.rpartition('"')[2].rpartition(">")[2].rpartition("]")[2]
        return [int(part, 0) for part in rest.replace(" ", "").split(",") if part.lstrip("-")[:1].isdigit()]

    def descriptors(self) -> list[int]:
        found = _DESCRIPTOR.findall(_QUOTED.sub("", self.arguments))
        return [-1 if text == "AT_FDCWD" else int(text) for text in found]


def _calls(lines: Iterator[str], operations: list[Operation]) -> Iterator[_Call]:
    begun: dict[str, tuple[str, int]] = {}
    for line in lines:
        text, since = line.rstrip("\n"), len(operations)
        if found := _UNFINISHED.match(text):
            begun[found[1]] = (f"{found[1]} {found[2]}({found[3]}", since)
            continue
        if found := _RESUMED.match(text):
            start, since = begun.pop(found[1])
            text = start + found[2]
        if (found := _LINE.match(text)) and found[4] != "?" and (result := int(found[4], 0)) >= 0:
            yield _Call(int(found[1]), found[2], found[3], result, since)


@dataclass
class _Open:
    """An open file description; duplicated descriptors share it."""

    file: int
    offset: int = 0
    durable: bool = False
    appending: bool = False


@dataclass
class _Recorder:
    root: str
    acks: str
    operations: list[Operation] = field(default_factory=list)
    entries: dict[int, dict[str, int]] = field(default_factory=lambda: {0: {}})
    sizes: dict[int, int] = field(default_factory=dict)
    open: dict[int, _Open] = field(default_factory=dict)
    ack: set[int] = field(default_factory=set)
    others: set[int] = field(default_factory=set)
    """Processes that the workload started."""
    known: int = 0

    def take(self, call: _Call) -> None:
        """Note what one system call did, where it is any of our business."""
        if call.process in self.others and not call.name.endswith(("clone", "clone3", "fork")):
            touched = [path for path in map(os.fsdecode, call.strings()[:2]) if path.startswith(self.root)]
            assert call.name != "openat" or not touched, f"{touched}: a second process cannot be followed"
            return
        getattr(self, "_" + _SAME.get(call.name, call.name))(call)

    def _place(self, path: bytes) -> tuple[int, str] | None:
        """The directory and the name that a path below the root means."""
        text = os.path.normpath(os.fsdecode(path))
        if not text.startswith(self.root + "/"):
            assert text.startswith("/"), f"{text}: only absolute paths can be followed"
            return None
        directory = 0
        *parents, name = text[len(self.root) + 1 :].split("/")
        for parent in parents:
            directory = self.entries[directory][parent]
        return directory, name

    def _find(self, path: bytes) -> int | None:
        if os.fsdecode(path) == self.root:
            return 0
        place = self._place(path)
        return self.entries[place[0]].get(place[1]) if place else None

    def _new(self, place: tuple[int, str], *, directory: bool) -> int:
        self.known += 1
        if directory:
            self.entries[self.known] = {}
        else:
            self.sizes[self.known] = 0
        self._link((*place, self.known))
        return self.known

    def _link(self, *edits: tuple[int, str, int | None]) -> None:
        for directory, name, file in edits:
            if file is None:
                del self.entries[directory][name]
            else:
                self.entries[directory][name] = file
        if not all(name in IGNORED for _, name, _ in edits):
            self.operations.append(Link(edits))

    def _openat(self, call: _Call) -> None:
        path = call.strings()[0]
        if os.fsdecode(path) == self.acks:
            self.ack.add(call.result)
            return
        self.ack.discard(call.result)
        self.open.pop(call.result, None)
        place = self._place(path)
        if place is None and os.fsdecode(path) != self.root:
            return
        file = self._find(path)
        if file is None:
            assert place
            assert "O_CREAT" in call.arguments, path
            file = self._new(place, directory=False)
        elif "O_TRUNC" in call.arguments and self.sizes[file]:
            self._resize(file, 0)
        durable = "O_DSYNC" in call.arguments or "O_SYNC" in call.arguments
        if place and place[1] in IGNORED:
            return
        self.open[call.result] = _Open(file, durable=durable, appending="O_APPEND" in call.arguments)

    def _close(self, call: _Call) -> None:
        for descriptor in call.descriptors():
            self.open.pop(descriptor, None)
            self.ack.discard(descriptor)

    def _dup(self, call: _Call) -> None:
        if call.name == "fcntl" and "F_DUPFD" not in call.arguments:
            return
        if (opened := self._opened(call)) is not None:
            self.open[call.result] = opened

    def _opened(self, call: _Call) -> _Open | None:
        return self.open.get(call.descriptors()[0]) if call.descriptors() else None

    def _write(self, call: _Call) -> None:
        data = b"".join(call.strings())[: call.result]
        if call.descriptors()[0] in self.ack:
            self.operations.append(Ack(data))
            return
        if (opened := self._opened(call)) is None:
            return
        assert len(data) == call.result, "strace has cut the data short"
        if call.name.startswith("pwrite"):
            offset = call.numbers()[0 if call.name.startswith("pwritev") else 1]
        else:
            offset = self.sizes[opened.file] if opened.appending else opened.offset
            opened.offset = offset + call.result
        self.sizes[opened.file] = max(self.sizes[opened.file], offset + call.result)
        self.operations.append(Write(opened.file, offset, data, opened.durable))

    def _lseek(self, call: _Call) -> None:
        if (opened := self._opened(call)) is not None:
            opened.offset = call.result

    def _ftruncate(self, call: _Call) -> None:
        if (opened := self._opened(call)) is not None:
            self._resize(opened.file, call.numbers()[0])

    def _truncate(self, call: _Call) -> None:
        if (file := self._find(call.strings()[0])) is not None:
            self._resize(file, call.numbers()[0])

    def _fallocate(self, call: _Call) -> None:
        if (opened := self._opened(call)) is None:
            return
        mode, offset, length = call.numbers()
        assert mode == 0, "only plain fallocate can be followed"
        if offset + length > self.sizes[opened.file]:
            self._resize(opened.file, offset + length)

    def _resize(self, file: int, size: int) -> None:
        self.sizes[file] = size
        self.operations.append(Resize(file, size))

    def _fsync(self, call: _Call) -> None:
        if (opened := self._opened(call)) is not None:
            self.operations.append(Sync(opened.file, call.since))

    def _sync(self, call: _Call) -> None:
        self.operations.append(Sync(None, call.since))

    def _rename(self, call: _Call) -> None:
        assert "RENAME_" not in call.arguments.replace("RENAME_NOREPLACE", ""), "an exchange cannot be followed"
        old, new = map(self._place, call.strings())
        if old or new:
            assert old, "renamed into the directory from outside"
            assert new, "renamed out of the directory"
            self._link((*new, self.entries[old[0]][old[1]]), (*old, None))

    def _unlink(self, call: _Call) -> None:
        if place := self._place(call.strings()[0]):
            self._link((*place, None))

    def _mkdir(self, call: _Call) -> None:
        if place := self._place(call.strings()[0]):
            self._new(place, directory=True)

    def _mmap(self, call: _Call) -> None:
        if "PROT_WRITE" in call.arguments and "MAP_SHARED" in call.arguments:
            assert self._opened(call) is None, "writes through a map cannot be followed"

    def _sendfile(self, call: _Call) -> None:
        assert not any(descriptor in self.open for descriptor in call.descriptors()), f"{call.name} cannot be followed"

    def _clone(self, call: _Call) -> None:
        if "CLONE_FILES" not in call.arguments or call.process in self.others:
            self.others.add(call.result)


_SAME = {
    "open": "openat", "creat": "openat", "dup2": "dup", "dup3": "dup", "fcntl": "dup", "pwrite64": "write",
    "writev": "write", "pwritev": "write", "pwritev2": "write", "fdatasync": "fsync", "syncfs": "sync",
    "renameat": "rename", "renameat2": "rename", "unlinkat": "unlink", "rmdir": "unlink", "mkdirat": "mkdir",
    "copy_file_range": "sendfile", "link": "sendfile", "linkat": "sendfile", "clone3": "clone",
    "fork": "clone", "vfork": "clone",
}  # fmt: skip
