"""The benchmarks' workload is what it says: seeded, of one size, plain to collect, and valid to the language."""

from collections import Counter

import msgspec
import pytest

from bench.workload import BATCH_EVENTS, EVENT_BYTES, MIX, Options, World, definitions, every_family, many_audiences
from onefold.collect.decode import Decoder, Intake
from onefold.language.reading.check import checked
from onefold.model.definitions import Definitions
from onefold.model.event import Event
from onefold.settings import Settings

EVENTS = 20_000


@pytest.fixture(scope="module")
def events() -> list[Event]:
    """A stretch of the workload, decoded."""
    return [msgspec.json.decode(body, type=Event) for body in World(Options(people=5_000)).events(EVENTS)]


def test_the_same_seed_gives_the_same_bytes() -> None:
    """Two runs compare like with like."""
    assert World().bodies(3) == World().bodies(3)
    assert World(Options(seed=2)).bodies(3) != World().bodies(3)


def test_every_event_has_the_published_size() -> None:
    """500 bytes, whatever happens in the event."""
    assert {len(body) for body in World().events(5_000)} == {EVENT_BYTES}


def test_collect_takes_every_event() -> None:
    """The numbers are of events that pass, none of refusals."""
    intake = Decoder(Settings(), 2).batch(World().bodies(1)[0])
    assert isinstance(intake, Intake)
    assert (intake.accepted, intake.rejected) == (BATCH_EVENTS, [])


def test_singles_are_tracks() -> None:
    """What goes to `/v1/track` is an event with a name."""
    found = [msgspec.json.decode(body, type=Event) for body in World().singles(500)]
    assert len(found) == 500
    assert all(event.type == "track" and event.event for event in found)


def test_one_event_in_twenty_links_a_new_identifier(events: list[Event]) -> None:
    """An identifier that nobody has seen stands beside another one."""
    known, linking = set[str](), 0
    for event in events:
        ids = (event.userId, event.anonymousId, (event.traits or {}).get("email"))
        found = {str(one) for one in ids if one}
        linking += len(found) > 1 and not known.issuperset(found)
        known.update(found)
    assert 0.03 < linking / EVENTS < 0.07


def test_activity_follows_zipf(events: list[Event]) -> None:
    """The most active person has many times what the hundredth has."""
    counts = Counter(event.anonymousId for event in events).most_common()
    assert counts[0][1] > 20 * counts[100][1]


def test_the_mix_is_the_published_one(events: list[Event]) -> None:
    """Each of the ten names has its share of the events that link nothing."""
    counts = Counter(event.event or event.type for event in events)
    for name, share in MIX:
        assert counts[name] / EVENTS == pytest.approx(share * 0.95 / 0.99, rel=0.2)


@pytest.mark.parametrize(
    "defined",
    [definitions(), *map(many_audiences, (10, 300)), many_audiences(300, 10), *map(every_family, (10, 300))],
)
def test_definitions_have_no_mistakes(defined: Definitions) -> None:
    """The traits and audiences are valid, as many as they should be."""
    assert checked(defined).problems == []
    assert len(defined.traits) == 10
