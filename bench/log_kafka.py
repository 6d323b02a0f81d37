"""What the log on Kafka costs beside the embedded one, on this machine: `python -m bench.log_kafka`.

Records are those that collect makes of the workload: 500-byte events, 100 in a request, over four partitions. Requests
are appended some at a time, as a group commit does under load, from the first to the last; each append waits for its
acknowledgement, which is an fsync in both engines (the topic has one replica and `flush.messages=1`). Then a worker's
reader follows the partitions from their beginning, with every record verified. CPU is user and system time: of this
process, and of the broker's, a warm Java machine with both compilers. A lone append is one request, at rest before.
"""

import argparse
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from pathlib import Path
from typing import NamedTuple

from bench.report import Row, percentile, table
from bench.workload import BATCH_EVENTS, EVENT_BYTES, World
from onefold.collect.decode import Decoder, Intake
from onefold.collect.record import Records, records
from onefold.ports import LogReader, LogWriter
from onefold.settings import Settings
from onefold.storage.embedded.log import LmdbLogReader, LmdbLogWriter
from onefold.storage.kafka.log import KafkaLogReader, KafkaLogWriter, KafkaOptions
from onefold.testing.servers.kafka import Jvm, KafkaCluster

PARTITIONS = 4
READ_BYTES = 16 << 20
"""What a worker asks for at once."""
LONE = 1_000
_TICKS = os.sysconf("SC_CLK_TCK")


class Log(NamedTuple):
    """An engine: a log and who else works for it."""

    name: str
    writer: LogWriter
    reader: Callable[[], LogReader]
    servers: list[int]


def measure(*, quick: bool, events: int = 0, group: int = 20) -> list[Row]:
    """Append and read everything, over each engine; CPU by process, and the latency of a lone append."""
    events = events or (200_000 if quick else 1_000_000)
    requests = list(_requests(events))
    rows: list[Row] = []
    with ExitStack() as stack:
        for open_log in (_lmdb, _kafka):
            log = stack.enter_context(_opened(open_log))
            for _ in range(2):  # a Java machine is slow at first
                _append(log, requests, group)
            runs = [_throughput(log, requests, group) for _ in range(1 if quick else 3)]
            made = [*(_together(each) for each in zip(*runs, strict=True)), _lone(log, requests)]
            rows += made
            stack.pop_all().close()
    for row in rows:
        row.details |= {
            "events": events,
            "event_bytes": EVENT_BYTES,
            "batch": BATCH_EVENTS,
            "requests_an_append": group,
        }
    return rows


class _opened:  # noqa: N801 - reads as a verb
    """An engine, closed in the end with all that belongs to it."""

    def __init__(self, open_log: Callable[[ExitStack], Log]) -> None:
        self._stack = ExitStack()
        self._open = open_log

    def __enter__(self) -> Log:
        return self._open(self._stack)

    def __exit__(self, *_: object) -> None:
        self._stack.close()


def _lmdb(stack: ExitStack) -> Log:
    path = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="onefold-bench-"))) / "log"
    writer = stack.enter_context(closing(LmdbLogWriter(path, PARTITIONS)))
    return Log("embedded", writer, lambda: LmdbLogReader(path), [])


def _kafka(stack: ExitStack) -> Log:
    cluster = stack.enter_context(KafkaCluster(1, Jvm(heap="1g", quick=False)))
    options = KafkaOptions(cluster.bootstrap)
    writer = stack.enter_context(closing(KafkaLogWriter(options, PARTITIONS)))
    return Log("Kafka", writer, lambda: KafkaLogReader(options), cluster.pids)


def _requests(events: int) -> Iterator[Records]:
    decoder = Decoder(Settings(), PARTITIONS)
    for body in World().bodies(events // BATCH_EVENTS):
        intake = decoder.batch(body)
        assert isinstance(intake, Intake)
        yield records(intake, "default", 1_700_000_000_000)


def _append(log: Log, requests: list[Records], group: int) -> None:
    for first in range(0, len(requests), group):
        lanes: dict[int, list[bytes]] = {}
        for each in requests[first : first + group]:
            for partition, run in each.items():
                lanes.setdefault(partition, []).extend(run)
        log.writer.append(lanes)


def _throughput(log: Log, requests: list[Records], group: int) -> list[Row]:
    begins = {partition: _end(log, partition) for partition in range(PARTITIONS)}
    events = len(requests) * BATCH_EVENTS
    made: list[Row] = []
    parts: list[tuple[str, Callable[[], None]]] = [
        ("append", lambda: _append(log, requests, group)),
        ("read", lambda: _read_all(log, requests, begins)),
    ]
    for what, work in parts:
        own, servers, began_s = _own_cpu_s(), _cpu_s(log.servers), time.perf_counter()
        work()
        took_s = time.perf_counter() - began_s
        details = {"events_per_s": round(events / took_s)}
        per_million = 1e6 / events
        made.append(_row(f"{what}, {log.name}, this process", (_own_cpu_s() - own) * per_million, details))
        if log.servers:
            made.append(_row(f"{what}, {log.name}, broker", (_cpu_s(log.servers) - servers) * per_million, details))
    return made


def _together(runs: tuple[Row, ...]) -> Row:
    details = {"events_per_s": [row.details["events_per_s"] for row in runs]}
    return Row(runs[0].what, runs[0].unit, [row.runs[0] for row in runs], details=details)


def _row(what: str, cpu_s: float, details: dict[str, int]) -> Row:
    return Row(what, "CPU-s per million events", [cpu_s], details=dict(details))


def _read_all(log: Log, requests: list[Records], begins: Mapping[int, int]) -> None:
    expected = {p: begins[p] + sum(len(each.get(p, ())) for each in requests) for p in begins}
    at = dict(begins)
    with closing(log.reader()) as reader:
        watch = reader.watch(at)
        while at != expected:
            for partition, offset in list(at.items()):
                if offset < expected[partition] and (run := reader.read(partition, offset, READ_BYTES)):
                    at[partition] = run[-1].offset + 1
        if watch is not None:
            os.close(watch)


def _lone(log: Log, requests: list[Records]) -> Row:
    took_ms: list[float] = []
    for n in range(LONE):
        lanes = requests[n % len(requests)]
        partition = next(iter(lanes))
        began_s = time.perf_counter()
        log.writer.append({partition: lanes[partition][:1]})
        took_ms.append((time.perf_counter() - began_s) * 1e3)
        time.sleep(0.002)
    details = {f"p{share:g}": round(percentile(took_ms, share / 100), 2) for share in (50, 90, 99, 99.9)}
    return Row(f"lone append, {log.name}, p99", "ms", [percentile(took_ms, 0.99)], details=details)


def _end(log: Log, partition: int) -> int:
    with closing(log.reader()) as reader:
        return reader.ends(partition)[1]


def _own_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _cpu_s(pids: list[int]) -> float:
    spent = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        spent += int(fields[11]) + int(fields[12])
    return spent / _TICKS


def main() -> None:
    """`python -m bench.log_kafka [--events N] [--group REQUESTS]`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--group", type=int, default=20)
    given = parser.parse_args()
    rows = measure(quick=False, events=given.events, group=given.group)
    sys.stdout.write(table(rows) + "\n")
    for row in rows:
        sys.stdout.write(f"{row.what}: {row.details}\n")


if __name__ == "__main__":
    main()
