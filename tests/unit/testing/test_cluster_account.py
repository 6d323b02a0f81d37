"""The account of a platform at rest closes where nothing is missing, and says what does not where something is."""

from collections import Counter
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from onefold.demo.client import Sending
from onefold.model.delivery import Progress
from onefold.model.entry import Defined, Outgoing, Rejected, encode
from onefold.runtime.folding.fold import Folding
from onefold.runtime.folding.programs import Programs
from onefold.settings import Settings
from onefold.storage.place import Place
from onefold.testing.cluster.account import Evidence, account
from onefold.testing.world import define, track

EVENTS = [track("Bought", user=f"u{n % 3}", message=f"m{n}") for n in range(6)]
BAD = {"type": "purchase", "messageId": "bad"}
PROBE = "probe"


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A directory in which six events, one of them twice, and one bad event are folded, and one thing is delivered."""
    found = Place.open(Settings(data=tmp_path / "data"))
    definitions = define({"orders": 'count("Bought")'})
    rejected = [Rejected(0, "invalid", msgspec.json.encode(BAD).decode())]
    raws = [msgspec.Raw(msgspec.json.encode(event)) for event in (*EVENTS, EVENTS[0])]
    with (
        closing(found.log_writer()) as writer,
        closing(found.state()) as state,
        closing(found.deliveries()) as book,
    ):
        defined = encode(Defined(1_000, definitions.version, msgspec.to_builtins(definitions)))
        writer.append({0: [defined, encode(Outgoing("web", 2_000, raws, rejected=rejected))]})
        with closing(found.log_reader()) as reader:
            folding = Folding(reader, state, Programs(lambda _version: definitions))
            while folding.advance(0):
                pass
        assert book.try_hold()
        counts = {"taken": 3, "delivered": 1, "filtered.type": 2}
        book.write([Progress(PROBE, state.newest(), counts, {}, {})], state.newest(), [PROBE])
    return found


def evidence() -> Evidence:
    """What their sender knows: all were acknowledged, the repeated one each time."""
    made = Evidence()
    made.note([*EVENTS, BAD], Sending(0.1))
    made.note(EVENTS[:1], Sending(0.1))
    return made


def failing(place: Place, known: Evidence, verified: int = 1) -> list[str]:
    """The parts of the account that do not close."""
    return [line.title for line in account(place, known, Counter({"track": verified})) if not line.closes]


def test_a_whole_account_closes(place: Place) -> None:
    """Every part of it, byte for byte where the engine is the same."""
    lines = [*account(place, evidence(), Counter({"track": 1}))]
    assert [line.title for line in lines if not line.closes] == []
    assert lines[0].text == "8 sent and acknowledged = 8 in the log"
    assert lines[1].text == "8 in the log = 8 received = 6 admitted + 1 duplicate + 1 quarantined"
    assert lines[2].text == "3 taken = 1 delivered + 0 pending + 2 filtered + 0 parked"
    assert lines[4].text.endswith("byte for byte")


def test_an_acknowledged_event_that_is_not_in_the_log_is_named(place: Place) -> None:
    """It is lost, whatever the sums say."""
    known = evidence()
    known.note([track("Bought", user="u9", message="lost")], Sending(0.1))
    assert failing(place, known) == ["events"]
    assert "lost acknowledged 1, in the log 0" in next(account(place, known, Counter())).text


def test_an_event_that_nobody_sent_does_not_close(place: Place) -> None:
    """Nothing comes into the log by itself."""
    known = evidence()
    del known.acknowledged["m5"]
    assert failing(place, known) == ["events"]


def test_an_unanswered_try_may_have_been_written(place: Place) -> None:
    """The copy of a try of which nobody knows is allowed for; where every try was refused for sure it is not."""
    known = evidence()
    known.acknowledged["m0"] -= 1
    assert failing(place, known) == ["events"]
    known.unsure["m0"] += 1
    assert failing(place, known) == []


def test_a_webhook_that_did_not_come_does_not_close(place: Place) -> None:
    """Delivered is what the receiver has, not what the book says."""
    assert failing(place, evidence(), verified=0) == ["webhooks"]


def test_commits_that_no_destination_has_followed_do_not_close(place: Place) -> None:
    """A book that is behind says nothing about the rest."""
    with closing(place.deliveries()) as book:
        assert book.try_hold()
        counts = {"taken": 3, "delivered": 1, "filtered.type": 1}
        book.write([Progress(PROBE, 0, counts, {}, {})], 0, [PROBE])
    assert failing(place, evidence()) == ["deliveries"]
    with closing(place.deliveries(readonly=True)) as book:
        assert book.lag(1)
