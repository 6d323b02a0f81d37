"""The crash-state explorer: every disk that a power cut could leave, tried with the real code.

Killing a process proves nothing about power loss, as the kernel still writes what the process gave it. So a
workload's writes and syncs are recorded (`crash_trace`), and disk images are built from the record as a power cut
at a random moment could leave them: what a sync that had returned covers is there, and every later write, cut or
name is there, absent, or (a write) torn between sectors, each for itself. An image is then opened by
the code under test, which must still have all that was acknowledged before the cut.

    trace = crash_trace.record(workload, scratch)
    report = explore(trace, check, scratch, cuts=300)
    assert not report.failures, report

The check runs in a child process, since opening a broken image can kill a process; that counts as a failure.
"""

import faulthandler
import os
import shutil
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import NamedTuple

from onefold.testing.crash_trace import Ack, Link, Operation, Resize, Sync, Trace, Write

SECTOR_BYTES = 512
"""What a disk writes whole or not at all."""

Check = Callable[[Path, list[bytes]], None]
"""Raises where the image lacks something that was acknowledged (`Lost`) or cannot be used (anything else)."""


class Lost(AssertionError):
    """The image opens, but something acknowledged is not in it."""


class Report(NamedTuple):
    """How it went; `failures`: number of the cut → what went wrong. The same trace and seed make the same images."""

    cuts: int
    seed: int
    failures: dict[int, str]

    def count(self, kind: str) -> int:
        """Failures of one kind: the name of an exception, or of the signal that ended the check."""
        return sum(text.startswith(kind) for text in self.failures.values())

    def __str__(self) -> str:
        kinds = Counter(text.partition(":")[0] for text in self.failures.values())
        first = next(iter(self.failures.items()), None)
        return f"{len(self.failures)} of {self.cuts} cuts failed (seed {self.seed}): {dict(kinds)}; the first: {first}"


def explore(trace: Trace, check: Check, scratch: Path, *, cuts: int, seed: int = 0) -> Report:
    """Try that many cuts of the trace, with images below `scratch`."""
    durable_at = _durable_at(trace.operations)
    failures: dict[int, str] = {}
    cut = 0
    while cut < cuts:
        for cut, problem in _in_child(trace, durable_at, check, (scratch, range(cut, cuts), seed)):  # noqa: B020 - where it ended is where to go on
            if problem:
                failures[cut] = problem
        cut += 1
    return Report(cuts, seed, failures)


def image(trace: Trace, directory: Path, *, cut: int, seed: int = 0) -> list[bytes]:
    """Build the image of one cut, to look at what a failure was about; returns what had been acknowledged."""
    return _image(trace, _durable_at(trace.operations), _random(seed, cut), directory)


def _in_child(
    trace: Trace, durable_at: list[int], check: Check, work: tuple[Path, range, int]
) -> Iterator[tuple[int, str]]:
    """Check cuts one after the other in a child; a cut that kills it is the last."""
    scratch, cuts, seed = work
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.close(reading)
            faulthandler.disable()
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            with os.fdopen(writing, "w") as answers:
                for cut in cuts:
                    acks = _image(trace, durable_at, _random(seed, cut), scratch / "image")
                    answers.write(f"{cut} {_problem(check, scratch / 'image', acks)}\n")
                    answers.flush()
        finally:
            # Whatever happens here, the child must not go on as a second copy of its parent.
            os._exit(1)
    os.close(writing)
    done = cuts.start
    with os.fdopen(reading) as answers:
        for answer in answers:
            number, _, problem = answer.rstrip("\n").partition(" ")
            done = int(number) + 1
            yield int(number), problem
    _, status = os.waitpid(child, 0)
    if done < cuts.stop:
        yield done, f"{signal.Signals(os.WTERMSIG(status)).name if os.WIFSIGNALED(status) else 'exit'}: {status}"


def _random(seed: int, cut: int) -> Random:
    return Random(f"{seed}:{cut}")  # noqa: S311 - it must be able to repeat itself


def _problem(check: Check, directory: Path, acks: list[bytes]) -> str:
    try:
        check(directory, acks)
    except Exception as error:  # noqa: BLE001 - whatever the check raises is the finding
        return f"{type(error).__name__}: {error}".replace("\n", " ")
    return ""


def _durable_at(operations: list[Operation]) -> list[int]:
    """For each operation, the number of the one whose return made it durable (past the end: none did)."""
    never = len(operations) + 1
    durable_at = [never] * len(operations)
    loose: dict[int, list[int]] = {}
    for number, operation in enumerate(operations):
        match operation:
            case Sync(file, since):
                for touched in list(loose) if file is None else [file]:
                    for done in [n for n in loose.get(touched, ()) if n < since]:
                        durable_at[done] = min(durable_at[done], number)
                        loose[touched].remove(done)
            case Write(_, _, _, True):
                durable_at[number] = number
            case Write(file, _, _, False) | Resize(file, _):
                loose.setdefault(file, []).append(number)
            case Link(edits):
                for directory, _, _ in edits:
                    loose.setdefault(directory, []).append(number)
            case Ack():
                durable_at[number] = number
    return durable_at


def _image(trace: Trace, durable_at: list[int], random: Random, directory: Path) -> list[bytes]:
    """What the disk may hold when the power fails while operation `cut` is under way."""
    operations = trace.operations
    cut = random.randint(0, len(operations))
    fate = random.choice(("all", "none", "each", "each", "each"))
    files: dict[int, bytearray] = {}
    names: dict[int, dict[str, int]] = {number: {} for number in trace.directories}
    acks: list[bytes] = []
    for number, operation in enumerate(operations[: cut + 1]):
        if isinstance(operation, Ack):
            if number < cut:
                acks.append(operation.data)
        elif number < cut and durable_at[number] < cut:
            _apply(operation, files, names)
        elif fate == "all" or (fate == "each" and random.random() < 2 / 3):
            torn = fate == "each" and isinstance(operation, Write) and random.random() < 1 / 2
            for part in _torn(operation, random) if torn and isinstance(operation, Write) else [operation]:
                _apply(part, files, names)
    shutil.rmtree(directory, ignore_errors=True)
    _build(directory, 0, files, names)
    return acks


def _torn(write: Write, random: Random) -> Iterator[Write]:
    """The sectors of a write that reached the disk."""
    start = write.offset
    end = start + len(write.data)
    while start < end:
        stop = min(end, (start // SECTOR_BYTES + 1) * SECTOR_BYTES)
        if random.random() < 1 / 2:
            yield Write(write.file, start, write.data[start - write.offset : stop - write.offset])
        start = stop


def _apply(operation: Operation, files: dict[int, bytearray], names: dict[int, dict[str, int]]) -> None:
    match operation:
        case Write(file, offset, data, _):
            content = files.setdefault(file, bytearray())
            content.extend(bytes(max(0, offset - len(content))))
            content[offset : offset + len(data)] = data
        case Resize(file, size):
            content = files.setdefault(file, bytearray())
            del content[size:]
            content.extend(bytes(size - len(content)))
        case Link(edits):
            for directory, name, named in edits:
                if named is None:
                    names[directory].pop(name, None)
                else:
                    names[directory][name] = named


def _build(directory: Path, number: int, files: dict[int, bytearray], names: dict[int, dict[str, int]]) -> None:
    directory.mkdir()
    for name, file in names[number].items():
        if file in names:
            _build(directory / name, file, files, names)
        else:
            (directory / name).write_bytes(files.get(file, b""))
