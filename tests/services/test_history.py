"""History over Kafka and PostgreSQL: it has just what was admitted there, as over the embedded engines."""

import random
from contextlib import ExitStack, closing
from pathlib import Path

import msgspec
import pytest
from msgspec import Raw

from onefold.clock import SystemClock
from onefold.model.effect import Admitted
from onefold.model.entry import Outgoing, encode
from onefold.model.event import Event
from onefold.runtime.folding import Folding
from onefold.runtime.history import Historian, Sources
from onefold.runtime.programs import Programs
from onefold.settings import Settings
from onefold.storage.place import Place
from onefold.testing.conformance.history import contents
from onefold.testing.history_requests import PARTITIONS, requests
from onefold.testing.servers.kafka import KafkaCluster

pytestmark = pytest.mark.services
_decode = msgspec.json.Decoder(Event).decode


def test_the_role_follows_the_other_engines(kafka: KafkaCluster, postgres_url: str, tmp_path: Path) -> None:
    """What workers admitted from Kafka into PostgreSQL is in the tables once, body, place and person; also tidied."""
    place = Place.open(
        Settings(
            kafka=kafka.bootstrap,
            database=postgres_url,
            partitions=PARTITIONS,
            history_location=str(tmp_path / "lake"),
        )
    )
    sent: dict[tuple[int, int], bytes] = {}
    with ExitStack() as stack:
        log = stack.enter_context(closing(place.log_writer()))
        for partition, now_ms, events in requests(random.Random(5), 40):
            raw = [Raw(msgspec.json.encode(event)) for event in events]
            offset = log.append({partition: [encode(Outgoing("web", now_ms, raw))]})[partition]
            sent |= {(partition, offset << 16 | n): bytes(body) for n, body in enumerate(raw)}
        state = stack.enter_context(closing(place.state()))
        reader = stack.enter_context(closing(place.log_reader()))
        catalog = stack.enter_context(closing(place.catalog()))
        folding = Folding(reader, state, Programs(catalog.definitions))
        while sum(folding.advance(partition, 15) for partition in range(PARTITIONS)):
            pass
        history = stack.enter_context(closing(place.history()))
        assert history.try_hold()
        historian = Historian(Sources(state, reader), history, SystemClock(), flush_s=0.001)
        while historian.turn():
            pass
        historian.stop()
        while history.tidy():
            pass
        found = contents(history)
        admitted = [(p, e) for _, p, some in state.effects(0, 1 << 30) for e in some if isinstance(e, Admitted)]
        assert place.history_settled() == history.cursor() == state.newest()
    assert [(one.partition, one.position, one.profile) for one in found] == sorted(
        (partition, effect.position, effect.profile) for partition, effect in admitted
    )
    assert all(one.event == _decode(sent[one.partition, one.position]) for one in found)
