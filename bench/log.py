"""What the embedded log costs: append and read, CPU and wall, at several chunk sizes. Run: `python bench/log.py`.

CPU is user and system time of this process. Every append is fsynced; `fsync` measures the disk alone, so that the
share of the log itself can be seen. Records are 500 bytes. Use --data DIR to measure another disk.
"""

import argparse
import functools
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import lmdb

from onefold.ports import Retention
from onefold.storage import log_chunk
from onefold.storage.embedded.log import LmdbLogReader, LmdbLogWriter
from onefold.storage.log_chunk import Header

RECORD = b'{"type":"track","event":"Product Viewed"}'.ljust(500, b".")


class Measured(NamedTuple):
    """One run: how often, how long, how much work."""

    times: int
    wall_s: float
    cpu_s: float


def measure(times: int, work: Callable[[], object]) -> Measured:
    """Run `work` so many times."""
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(times):
        work()
    return Measured(times, time.perf_counter() - wall, time.process_time() - cpu)


def row(name: str, got: Measured, records: int) -> None:
    """Print one line of the table; `records` went through in each run."""
    total = got.times * records
    print(
        f"| {name:<32} | {got.times / got.wall_s:>9,.0f} | {1e6 * got.cpu_s / got.times:>11.1f} "
        f"| {1e6 * got.cpu_s / total:>13.2f} | {total * len(RECORD) / got.wall_s / 1e6:>8,.0f} |"
    )


def overwrite(descriptor: int, data: bytes) -> None:
    """Write, and wait until it is on disk."""
    os.pwrite(descriptor, data, 0)
    os.fdatasync(descriptor)


def fsync(directory: Path, size: int, times: int) -> Measured:
    """Overwrite `size` bytes and fdatasync: the least that any durable append costs."""
    descriptor = os.open(directory / "fsync", os.O_RDWR | os.O_CREAT)
    try:
        os.write(descriptor, bytes(size))
        return measure(times, lambda: overwrite(descriptor, bytes(size)))
    finally:
        os.close(descriptor)


def main() -> None:
    """Measure everything and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=None)
    parser.add_argument("--times", type=int, default=500)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.data) as scratch:
        directory = Path(scratch)
        writer = LmdbLogWriter(directory / "log", 1)
        reader = LmdbLogReader(directory / "log")
        print("| what                             |  calls/s  | CPU us/call | CPU us/record |     MB/s |")
        print("|----------------------------------|-----------|-------------|---------------|----------|")
        for records in (1, 100, 2_000):
            times = max(10, options.times // max(1, records // 100))
            row(f"fdatasync of {records} x 500 B", fsync(directory, records * 500, times), records)
            batch = {0: [RECORD] * records}
            header = Header(0, records, 0)
            row(f"encode {records} x 500 B", measure(times, lambda: log_chunk.encode(0, header, batch[0])), records)  # noqa: B023
            chunk = log_chunk.encode(0, header, batch[0])
            with lmdb.open(str(directory / str(records)), map_size=1 << 30, sync=False) as env:
                keys = iter(range(times))
                row(f"put {records} x 500 B, not synced", measure(times, lambda: put(env, next(keys), chunk)), records)  # noqa: B023
            start = reader.ends(0)[1]
            row(f"append {records} x 500 B", measure(times, functools.partial(writer.append, batch)), records)
            place = iter(range(start, start + times * records, records))
            size = records * len(RECORD)
            row(f"read {records} x 500 B", measure(times, lambda: reader.read(0, next(place), size)), records)  # noqa: B023
        first, end = reader.ends(0)
        got = measure(1, lambda: scan(reader, first, end))
        row("read all, 1 MiB a call", got, end - first)
        got = measure(1, lambda: writer.trim(0, end, Retention(size_bytes=0)))
        row("trim all", got, end - first)
        reader.close()
        writer.close()


def put(env: lmdb.Environment, key: int, chunk: bytes) -> None:
    """LMDB's own part of an append: its tree and its writes, without waiting for the disk."""
    with env.begin(write=True) as txn:
        txn.put(key.to_bytes(8, "big"), chunk, append=True)


def scan(reader: LmdbLogReader, offset: int, end: int) -> None:
    """Read a partition as a worker that catches up does."""
    while offset < end:
        offset = reader.read(0, offset, 1 << 20)[-1].offset + 1


if __name__ == "__main__":
    main()
