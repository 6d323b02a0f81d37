"""The live tail: everybody sees what they asked for, nobody is held up, and who misses something is told."""

import asyncio

import pytest

from onefold.errors import Overloaded
from onefold.limits import TAIL_SUBSCRIBERS_MAX
from onefold.model import effect as effects
from onefold.model import position
from onefold.model.effect import Changed, Created, Hot, Left, LinkRefused, Merged, Moved, Recast, RejectedEvent, Split
from onefold.server.operating import events
from onefold.server.operating.tail import KINDS, Filter, Subscriber, Tail, show
from onefold.testing.memory.state import MemoryState
from tests.unit.server import fakes


def _taken(subscriber: Subscriber) -> tuple[int, list[str]]:
    dropped, taken = asyncio.run(subscriber.take(0))
    return dropped, [shown.kind for shown in taken]


def test_subscribers_see_what_comes_after_them() -> None:
    """A subscriber gets every effect of commits after it came, in order, and none before."""
    state = MemoryState()
    tail = Tail(state)
    fakes.happen(state, fakes.admitted(1))
    one = tail.subscribe(Filter())
    fakes.happen(state, fakes.admitted(2), fakes.entered(2))
    tail.poll()
    two = tail.subscribe(Filter())
    fakes.happen(state, fakes.entered(3))
    tail.poll()
    tail.poll()
    assert _taken(one) == (0, ["admitted", "entered", "entered"])
    assert _taken(two) == (0, ["entered"])


def test_a_late_subscriber_does_not_see_the_past() -> None:
    """When the last reader has gone, what happens is not kept for the next one."""
    state = MemoryState()
    tail = Tail(state)
    tail.unsubscribe(tail.subscribe(Filter()))
    fakes.happen(state, fakes.admitted(1))
    tail.poll()
    subscriber = tail.subscribe(Filter())
    tail.poll()
    assert _taken(subscriber) == (0, [])


@pytest.mark.parametrize(
    ("wanted", "kinds"),
    [
        (Filter(), ["admitted", "admitted", "entered"]),
        (Filter(kinds=frozenset(["entered"])), ["entered"]),
        (Filter(names=frozenset(["Bought"])), ["admitted"]),
        (Filter(audiences=frozenset(["buyers"])), ["entered"]),
        (Filter(kinds=frozenset(["admitted"]), audiences=frozenset(["buyers"])), []),
    ],
)
def test_filters_choose(wanted: Filter, kinds: list[str]) -> None:
    """Every filter that is given must hold."""
    state = MemoryState()
    tail = Tail(state)
    subscriber = tail.subscribe(wanted)
    fakes.happen(state, fakes.admitted(1), fakes.admitted(2, "Viewed"), fakes.entered(2))
    tail.poll()
    assert _taken(subscriber) == (0, kinds)


def test_a_slow_reader_is_told_what_it_missed() -> None:
    """A full queue gives up its oldest, counts them, and holds up nobody else."""
    slow, quick = Subscriber(Filter(), limit=3), Subscriber(Filter(), limit=100)
    happened = [fakes.admitted(n) for n in range(10)]
    for one in happened:
        slow.offer(1, [one])
        quick.offer(1, [one])
    dropped, taken = asyncio.run(slow.take(0))
    assert (dropped, [one.id for one in taken]) == (7, [effects.key(1, one) for one in happened[7:]])
    assert len(asyncio.run(quick.take(0))[1]) == 10
    assert asyncio.run(slow.take(0)) == (0, [])


def test_readers_are_bounded() -> None:
    """One reader too many is refused and told when to come back."""
    tail = Tail(MemoryState())
    for _ in range(TAIL_SUBSCRIBERS_MAX):
        tail.subscribe(Filter())
    with pytest.raises(Overloaded):
        tail.subscribe(Filter())


def test_closing_ends_every_stream() -> None:
    """A stream ends when the server stops, with a last look at what waits."""

    async def follow() -> list[bytes]:
        state = MemoryState()
        tail = Tail(state)
        stream = events.messages(tail, tail.subscribe(Filter()))
        seen = [(await anext(stream)).encode()]
        fakes.happen(state, fakes.entered(1))
        tail.poll()
        seen.append((await anext(stream)).encode())
        tail.close()
        seen += [message.encode() async for message in stream]
        with pytest.raises(Overloaded):
            tail.subscribe(Filter())
        return seen

    first, second, *rest = asyncio.run(follow())
    assert first.startswith(b": following")
    assert b"event: entered\r\n" in second
    assert b'"audience":"buyers"' in second
    assert len(rest) <= 1


def test_every_kind_is_shown_whole() -> None:
    """Each kind of effect keeps its own facts, and its idempotency key as id."""
    ann = fakes.ANN
    shown = {
        one.kind: one
        for one in (
            show(1, effect)
            for effect in (
                fakes.admitted(65_537),
                Created(ann, 65_537, 1, fakes.T0),
                Merged(ann, 65_537, 2, fakes.T0, ann + 1, "user_id:ann", "email:a@b.c", "shared_event"),
                LinkRefused(ann, 65_537, 3, fakes.T0, "user_id:ann", "user_id:bob", "one_user_id"),
                Changed(ann, 65_537, 4, fakes.T0, {"plan": None}),
                fakes.entered(65_537),
                Left(ann, 65_537, 5, fakes.T0, "buyers", "time"),
                RejectedEvent(0, 65_537, 6, fakes.T0, "shop", "not an object"),
                Moved(ann, 65_537, 7, fakes.T0, ann + 1, "anonymous_id:a", "newest_link"),
                Hot(ann, 65_537, 8, fakes.T0, "email:team@b.c", 250),
                Split(ann, 65_537, 9, fakes.T0, ann + 1, ["anonymous_id:a"]),
                Recast(ann, 65_537, 10, fakes.T0, "eve", "unmerge link", applied=True),
            )
        )
    }
    assert shown.keys() == set(KINDS)
    assert shown["admitted"].event == "01-10001"
    assert shown["admitted"].id == effects.key(1, fakes.admitted(65_537))
    assert shown["merged"].absorbed == position.show(ann + 1)
    assert shown["link_refused"].rule == "one_user_id"
    assert shown["changed"].traits == {"plan": None}
    assert (shown["left"].audience, shown["left"].reason) == ("buyers", "time")
    assert (shown["moved"].former, shown["moved"].identifier) == (position.show(ann + 1), "anonymous_id:a")
    assert (shown["hot"].identifier, shown["hot"].others) == ("email:team@b.c", 250)
    assert (shown["split"].former, shown["split"].identifiers) == (position.show(ann + 1), ["anonymous_id:a"])
    assert (shown["recast"].by, shown["recast"].why, shown["recast"].applied) == ("eve", "unmerge link", True)
    assert (shown["rejected"].profile, shown["rejected"].source) == ("", "shop")


def test_an_unknown_kind_is_refused(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A misspelt kind is named with the nearest, before any stream begins."""
    with fakes.client(tmp_path_factory.mktemp("tail")) as client:
        answer = client.get("/v1/events/tail?kind=enterd")
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")
    assert "'entered'" in answer.json()["message"]
