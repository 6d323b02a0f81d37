"""History over Kafka and PostgreSQL: it has just what was admitted there, as over the embedded engines."""

import random
from contextlib import ExitStack, closing
from pathlib import Path

import msgspec
import pytest
from msgspec import Raw

from onefold.clock import SystemClock
from onefold.model.delivery import sequence
from onefold.model.effect import Admitted, Entered, Left
from onefold.model.entry import Defined, Outgoing, encode
from onefold.model.event import Event
from onefold.runtime.folding.fold import Folding
from onefold.runtime.folding.programs import Programs
from onefold.runtime.history.writing import Historian, Sources
from onefold.runtime.past.told import Engines, audiences
from onefold.settings import Settings
from onefold.storage.place import Place
from onefold.testing.conformance.history import contents
from onefold.testing.history_requests import PARTITIONS, requests
from onefold.testing.servers.kafka import KafkaCluster
from onefold.testing.world import START_MS, define

pytestmark = pytest.mark.services
DEFINITIONS = define({"views": 'count("Viewed")'}, {"lookers": "views > 1", "known": "exists(traits.n)"})
_MOVING = (Entered, Left)
_decode = msgspec.json.Decoder(Event).decode


def test_the_role_follows_the_other_engines(kafka: KafkaCluster, postgres_url: str, tmp_path: Path) -> None:
    """What workers admitted from Kafka into PostgreSQL is in the tables once, body, place and person; moves, too."""
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
        for partition in range(PARTITIONS):
            log.append({partition: [encode(Defined(START_MS, 1, msgspec.to_builtins(DEFINITIONS)))]})
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
        moved = history.moves_of({effect.profile for _, effect in admitted})
        commits = state.effects(0, 1 << 30)
        assert [one.seq for one in moved if one.seq] == [
            sequence(number, n) for number, _, some in commits for n, e in enumerate(some) if isinstance(e, _MOVING)
        ]
        assert {one.version for one in moved if one.seq} == {1}
        now_ms = max(state.cursor(partition).now_ms for partition in range(PARTITIONS))
        with audiences(Engines(history, state), now_ms) as then:
            assert then.sizes() == state.sizes()
            for audience in state.sizes():
                assert then.members(audience, -1, 1 << 30) == state.members(audience, -1, 1 << 30)
    assert [(one.partition, one.position, one.profile) for one in found] == sorted(
        (partition, effect.position, effect.profile) for partition, effect in admitted
    )
    assert all(one.event == _decode(sent[one.partition, one.position]) for one in found)
