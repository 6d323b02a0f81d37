"""The embedded log and the log in memory give the same answers to any sequence of calls."""

from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from onefold.errors import NotFoundError
from onefold.ports import Record, Retention
from onefold.storage import log_chunk
from onefold.storage.embedded.log import LmdbLogReader, LmdbLogWriter
from onefold.storage.log_chunk import Header
from onefold.testing.clock import ManualClock
from onefold.testing.memory.log import MemoryLog

PARTITIONS = 2
records = st.lists(st.binary(max_size=40) | st.builds(bytes, st.sampled_from((2_000, 5_000))), max_size=5)
partitions = st.integers(0, PARTITIONS - 1)
offsets = st.integers(0, 40)
appends = st.tuples(st.just("append"), st.dictionaries(partitions, records))
reads = st.tuples(st.just("read"), partitions, offsets, st.sampled_from((0, 1, 39, 100, 4_000, 1 << 30)))
trims = st.tuples(st.just("trim"), partitions, offsets, st.sampled_from((None, 0, 5)))
waits = st.tuples(st.just("wait"), st.integers(1, 9))
opens = st.tuples(st.just("open"))
Answer = dict[int, int] | list[Record] | int | str | tuple[int, int] | None


@settings(max_examples=60, deadline=None)
@given(st.lists(appends | appends | reads | trims | waits | opens, max_size=30))
def test_the_embedded_log_answers_as_the_one_in_memory(calls: list[tuple[object, ...]]) -> None:
    """Appends, reads, trims by age and reopening in any order: every answer is equal, and so are the ends."""
    clock = ManualClock()
    memory = MemoryLog(PARTITIONS, clock)
    with TemporaryDirectory() as directory:
        path = Path(directory)
        writer, reader = LmdbLogWriter(path, PARTITIONS, clock), LmdbLogReader(path)
        for call in calls:
            match call:
                case ("wait", int(ms)):
                    clock.advance(ms)
                case ("open",):
                    writer.close()
                    reader.close()
                    writer, reader = LmdbLogWriter(path, PARTITIONS, clock), LmdbLogReader(path)
                case _:
                    assert answer(writer, reader, call) == answer(memory, memory, call)
            assert [reader.ends(p) for p in range(PARTITIONS)] == [memory.ends(p) for p in range(PARTITIONS)]
        with closing(writer), closing(reader):
            pass


def answer(writer: LmdbLogWriter | MemoryLog, reader: LmdbLogReader | MemoryLog, call: tuple[object, ...]) -> Answer:
    """What the log says to this call."""
    try:
        match call:
            case ("append", dict(batches)):
                return writer.append(batches)
            case ("read", int(partition), int(offset), int(max_bytes)):
                return reader.read(partition, offset, max_bytes)
            case ("trim", int(partition), int(before), int() | None as age_ms):
                return writer.trim(partition, before, Retention(age_ms=age_ms))
    except NotFoundError as error:
        return str(error)
    raise AssertionError(call)


@given(st.integers(0, 255), st.integers(0, 1 << 40), st.lists(st.binary(max_size=300), min_size=1, max_size=50))
def test_a_chunk_is_read_as_it_was_written(partition: int, first: int, data: list[bytes]) -> None:
    """Header and records come back, at the offsets that follow from the header."""
    header = Header(first, len(data), 1_700_000_000_000)
    chunk = log_chunk.encode(partition, header, data)
    assert log_chunk.peek(partition, first, chunk) == header
    expected = [Record(first + i, record) for i, record in enumerate(data)]
    assert log_chunk.decode(partition, first, chunk) == (header, expected)


@given(st.lists(st.integers(0, log_chunk.CHUNK_MAX_BYTES + 5), max_size=8))
def test_splitting_loses_nothing_and_keeps_chunks_short(sizes: list[int]) -> None:
    """Runs follow each other, none is empty, and only a single record may be longer than a chunk."""
    data = [bytes(size) for size in sizes]
    runs = list(log_chunk.split(data))
    assert [record for run in runs for record in run] == data
    assert all(sum(map(len, run)) <= log_chunk.CHUNK_MAX_BYTES or len(run) == 1 for run in runs)
    assert all(runs) or not data
