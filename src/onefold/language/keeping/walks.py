"""A sequence's walk: what is known of its chains as of an instant, and what the events of the next one add to that.

A *front* is what a walk over events in order of time knows: `[time, bits, end …, begin …, unwanted …]`. Of each stage
it is the latest event that ends a chain up to there, the latest beginning of that chain, and the latest event that is
not wanted before the stage, as of before the latest instant; then that instant, and the bits of all its events.

No other chain needs to be looked at: of two that end at the same step, the one that ends later also begins no earlier,
so it leaves more room before negated steps, gaps and the total window.

What moves a front is source made for the sequence: it runs for each event. A front can be had without a walk, too:
`behind` reads it backwards off the events, most often off a few.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from onefold.language import nodes as n
from onefold.limits import NEVER_MS

Front = list[int]
NEVER = 0
"""A time before all others."""


class Stage(NamedTuple):
    """A step that is not negated."""

    bit: int
    unwanted: int
    """Bits of the negated steps between the one before and this."""
    within_ms: int
    """It comes sooner than this after the one before."""


class Plan(NamedTuple):
    """A sequence as its walk needs it."""

    stages: tuple[Stage, ...]
    within_ms: int
    silent: int
    """Bits of the negated steps at the end."""
    silent_ms: int

    @property
    def last(self) -> int:
        """The bit of the step that completes a chain."""
        return self.stages[-1].bit

    @property
    def negated(self) -> int:
        """Bits of all negated steps."""
        return sum({self.silent, *(stage.unwanted for stage in self.stages)})


def plan_of(sequence: n.Sequence) -> Plan:
    """The plan of a checked sequence: each step is a bit, by its place."""
    stages: list[Stage] = []
    unwanted = 0
    for number, step in enumerate(sequence.steps):
        if step.negated:
            unwanted |= 1 << number
        else:
            stages.append(Stage(1 << number, unwanted, step.within_ms or NEVER_MS))
            unwanted = 0
    silent_ms = (sequence.steps[-1].within_ms or 0) if unwanted else 0
    return Plan(tuple(stages), sequence.within_ms or NEVER_MS, unwanted, silent_ms)


class Walk(NamedTuple):
    """How a front moves."""

    start: Front
    """Before any event."""
    take: Callable[[Front, int, int], bool]
    """(front, instant, bits of all its events), an instant later than those before: True where it completes a chain."""
    completes: Callable[[Front, int], bool]
    """(front, instant): whether a last step then would complete a chain; the front is as of before that instant."""
    advance: Callable[[Front, int, int], bool]
    """(front, time, bits) of one event that is no earlier than the front's: True where it completes a chain."""


@lru_cache(maxsize=1024)
def walk_of(plan: Plan) -> Walk:
    """The walk of a plan. Equal plans share one."""
    scope: dict[str, Any] = {}
    exec(compile(source_of(plan), "<walk>", "exec"), scope)  # noqa: S102 (our own generated source)
    return Walk(
        [NEVER, 0, *[NEVER] * (3 * len(plan.stages))], *(scope[name] for name in ("take", "completes", "advance"))
    )


def source_of(plan: Plan) -> str:
    """The source of a walk's functions, with the front `f`."""
    fits = _fits(plan, len(plan.stages) - 1)
    return "\n".join([
        "def take(f, at, bits):",
        "    done = False",
        *("    " + line for line in _moves(plan)),
        "    return done",
        "def completes(f, at):",
        f"    return {fits}",
        "def advance(f, now, now_bits):",
        "    at, bits = f[0], f[1]",
        "    if now > at:",
        *("        " + line for line in _moves(plan)),
        "        f[0] = now; f[1] = now_bits",
        "    else: f[1] = bits | now_bits",
        "    at = now",
        f"    return now_bits & {plan.last} != 0 and {fits}",
        "",
    ])  # fmt: skip


@lru_cache(maxsize=1024)
def putter_of(plan: Plan, bits: int) -> Callable[..., Any]:
    """Makes the function that puts one event of these steps into a state; see `Chain.putter`. Equal ones are one."""
    scope: dict[str, Any] = {}
    exec(compile(putter_source(plan, bits), "<putter>", "exec"), scope)  # noqa: S102 (our own generated source)
    putter: Callable[..., Any] = scope["putter"]
    return putter


def putter_source(plan: Plan, given: int) -> str:
    """The source of what makes a `put`: `Walk.advance`, and the state around it, for events of these bits."""
    first = ", ".join(map(repr, (given, *[NEVER] * (3 * len(plan.stages)))))
    completes = given & plan.last != 0
    return "\n".join([
        "def putter(slow, evict, counted, pack, bias, most):",
        "    def put(slots, key, at_ms):",
        "        state, now = slots.get(key), at_ms + bias",
        "        if state is None:",
        f"            slots[key] = [pack(now, 0, {given}, 0), 0, 0, None, [now, {first}]]",
        "            return False",
        "        _, settled, live, past, f = state",
        "        if f is None or now < (at := f[0]) or (past is not None and now <= past[0]):",
        f"            return slow(slots, key, at_ms, {given})",
        "        if now > at:",
        "            bits = f[1]",
        *("            " + line for line in _moves(plan)),
        f"            f[0] = now; f[1] = {given}",
        f"        else: f[1] |= {given}",
        "        at = now",
        f"        done = {_fits(plan, len(plan.stages) - 1) if completes else False}",
        f"        state[0] += pack(now, 0, {given}, done)",
        "        if done: state[2] = live + 1",
        "        if len(state[0]) > most:",
        "            evict(state)",
        "            return True",
        "        return done and (counted or not (settled or live))",
        "    return put",
        "",
    ])  # fmt: skip


def _moves(plan: Plan) -> Iterator[str]:
    """Source that moves the front by the events `bits` of an instant `at`, and says whether they are `done`.

    Stages are gone through from the last to the first, so that none sees what this instant changes.
    """
    count, last = len(plan.stages), len(plan.stages) - 1
    for i, stage in reversed(list(enumerate(plan.stages))):
        end, begin, unwanted = (2 + part * count + i for part in range(3))
        begun = f"f[{begin - 1}]" if i else "at"
        done = "; done = True" if i == last else ""
        yield f"if bits & {stage.bit} and {_fits(plan, i)}: f[{end}] = at; f[{begin}] = {begun}{done}"
        if stage.unwanted:
            yield f"if bits & {stage.unwanted}: f[{unwanted}] = at"


def _fits(plan: Plan, i: int) -> str:
    """Source of: an event of this instant goes on with the chain that ends at the stage before.

    Where no chain does, its end is so long ago that it is within nothing.
    """
    if not i:
        return "True"
    count, stage = len(plan.stages), plan.stages[i]
    end, begin, unwanted = f"f[{1 + i}]", f"f[{1 + count + i}]", f"f[{2 + 2 * count + i}]"
    tests = [f"{end} < at < {end} + {stage.within_ms}"]
    if stage.unwanted:
        tests.append(f"{unwanted} <= {end}")
    if plan.within_ms < NEVER_MS:
        tests.append(f"at < {begin} + {plan.within_ms}")
    return " and ".join(tests)


# --- a front without a walk --------------------------------------------------------------------------------------
class Events(NamedTuple):
    """Events in order of time."""

    at: Callable[[int], int]
    """Number → when."""
    bits: Sequence[int]
    """Of which steps each is."""


def behind(plan: Plan, events: Events, until: int, gone: Front) -> Front:
    """The front as of before the event numbered `until`, the first of its instant.

    `gone`: the front before the first event. Costs as many events as it has to look back, and never more than all of
    them once for each stage.
    """
    back = _Back(plan, events, gone)
    reached = [back.reached(i, until) for i in range(len(plan.stages))]
    ends, begins = [end for end, _ in reached], [begin for _, begin in reached]
    return [NEVER, 0, *ends, *begins, *(back.unwanted(i, until) for i in range(len(plan.stages)))]


class _Back:
    """Looks back from event to event. Of each stage it remembers its latest answer, and for which events that holds."""

    def __init__(self, plan: Plan, events: Events, gone: Front) -> None:
        self._plan = plan
        self._at, self._bits = events
        count = len(plan.stages)
        self._gone = list(zip(gone[2 : 2 + count], gone[2 + count : 2 + 2 * count], gone[2 + 2 * count :], strict=True))
        self._reached = [(0, -1, NEVER, NEVER)] * count
        """(low, high, end, begin): the same before every event from `low` to `high`."""
        self._unwanted = [(0, -1, NEVER)] * count

    def reached(self, i: int, until: int) -> tuple[int, int]:
        """The latest end of a chain up to this stage before this event, and the chain's latest beginning."""
        low, high, end, begin = self._reached[i]
        if low <= until <= high:
            return end, begin
        place, end, begin = self._find(i, until)
        self._reached[i] = place + 1, until, end, begin
        return end, begin

    def _find(self, i: int, until: int) -> tuple[int, int, int]:
        stage, whole_ms, at_of, bits = self._plan.stages[i], self._plan.within_ms, self._at, self._bits
        place = until - 1
        while place >= 0:
            if bits[place] & stage.bit:
                at = at_of(place)
                if not i:
                    return place, at, at
                first = _first(at_of, place)
                end, begin = self.reached(i - 1, first)
                fits = end < at < end + stage.within_ms and at < begin + whole_ms
                if fits and self.unwanted(i, first) <= end:
                    return place, at, begin
                place = first
            place -= 1
        end, begin, _ = self._gone[i]
        return -1, end, begin

    def unwanted(self, i: int, until: int) -> int:
        """The latest event before this one that is not wanted before the stage."""
        mask = self._plan.stages[i].unwanted
        if not mask:
            return NEVER
        low, high, at = self._unwanted[i]
        if low <= until <= high:
            return at
        place = until - 1
        while place >= 0 and not self._bits[place] & mask:
            place -= 1
        at = self._gone[i][2] if place < 0 else self._at(place)
        self._unwanted[i] = place + 1, until, at
        return at


def _first(at_of: Callable[[int], int], place: int) -> int:
    """The first event of an event's instant."""
    at = at_of(place)
    while place and at_of(place - 1) == at:
        place -= 1
    return place


def first_of_instant(events: Events, place: int) -> int:
    """The first event of the instant of this one."""
    return _first(events.at, place)


# --- from one event to the end ---------------------------------------------------------------------------------
class Shift(NamedTuple):
    """What one event more, or some less, changes for those behind."""

    done: dict[int, bool]
    """Of each event that may complete a chain where it did not, or the other way round: whether it does."""
    front: Front | None
    """At the end; None: as it was."""


def shift(walk: Walk, events: Events, fronts: tuple[Front, Front], span: tuple[int, int]) -> Shift:
    """Walk on by two fronts, without and with a change, from an event on until they are alike; both are used up.

    `span`: the event to begin with, the first of its instant, and the one that the front without does not know; -1
    where there is none.
    """
    (at_of, bits), (without, with_), (place, new) = events, fronts, span
    done: dict[int, bool] = {}
    front: Front | None = None
    count, next_at = len(bits), at_of(place)
    while place < count and (without != with_ or place <= new):
        at, end, old_bits, all_bits = next_at, place, 0, 0
        while next_at == at:
            all_bits |= bits[end]
            if end != new:
                old_bits |= bits[end]
            end += 1
            next_at = at_of(end) if end < count else NEVER
        if end == count:  # The front stays as of before the latest instant.
            front = [at, all_bits, *with_[2:]]
        was, is_ = walk.take(without, at, old_bits), walk.take(with_, at, all_bits)
        if was != is_ or place <= new < end:
            done |= dict.fromkeys(range(place, end), is_)
        place = end
    return Shift(done, front)
