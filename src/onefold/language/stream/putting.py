"""An event into what is kept of it: the generated source that puts one event into one slot.

It stands in functions of `compile_python`, with the profile's slots `s`, the event's time `t` and `tie`, and `now`.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from onefold.language import nodes as n
from onefold.language.keeping import windows
from onefold.language.keeping.aggregates import MONOIDS
from onefold.language.keeping.monoids import monoid_of
from onefold.language.keeping.sequences import Chain, is_written_out
from onefold.language.stream.source import EventScope, prefix
from onefold.limits import WINDOW_PANES_MAX

_PANES_BYTES = WINDOW_PANES_MAX * windows.WIDTH
_AT_AN_END = {
    "first": "t < o[0] or (t == o[0] and tie < o[1])",
    "last": "t > o[0] or (t == o[0] and tie > o[1])",
}
"""Aggregates that only an event at one end can change: whether this one is beyond the one `o` that is kept."""


class Around(NamedTuple):
    """What stands around the change of a slot."""

    before: Sequence[str]
    """Run just before."""
    then: Sequence[str]
    """Run where the slot's value may have changed; `n` is that of a tally (`is_tally`)."""


def is_sure(kept: n.Kept) -> bool:
    """Whether every event of its name changes its value."""
    plain = isinstance(kept, n.Aggregate) and kept.function == "count" and kept.where is None
    return plain and not is_windowed(kept)


def is_tally(kept: n.Kept) -> bool:
    """Whether each event that counts in it makes its value one more."""
    if not isinstance(kept, n.Aggregate) or kept.function != "count":
        return False
    return kept.calendar is None and kept.until_ms is None


def is_windowed(kept: n.Kept) -> bool:
    """Whether only some of the events count, by their time."""
    return isinstance(kept, n.Sequence) or kept.within_ms is not None or kept.calendar is not None


def put(key: str, kept: n.Kept, event: str, scope: EventScope, around: Around) -> Iterator[str]:
    """Put an event of this name into a slot."""
    if isinstance(kept, n.Sequence):
        yield from _Steps(key, kept, scope, around).lines(event)
        return
    conditions = [] if kept.within_ms is None else [f"t > now - {kept.within_ms}"]
    if kept.where is not None:
        conditions.append(scope.boolean(kept.where))
    if kept.function in _AT_AN_END and not is_windowed(kept):
        conditions.append(f"((o := s.get({key!r})) is None or {_AT_AN_END[kept.function]})")
    if kept.calendar is not None and kept.timezone == n.PERSON:
        oldest = scope.once(f"{scope.among.spans(kept.calendar)}.oldest_ms(now)")
        conditions.insert(0, f"t >= {oldest}")
    lines = _lifted(key, kept, scope, around)
    yield from _under(" and ".join(conditions), lines)


def _under(condition: str, lines: Iterator[str]) -> Iterator[str]:
    if condition:
        yield f"if {condition}:"
    indent = "    " if condition else ""
    yield from (indent + line for line in lines)


def _lifted(key: str, kept: n.Aggregate, scope: EventScope, around: Around) -> Iterator[str]:
    """The event as a state, and that into the slot."""
    yield from around.before
    source = scope.value(kept.field) if kept.field is not None else "None"
    if n.AGGREGATES[kept.function].by_day:
        source = scope.once(f"{scope.among.periods(kept)}(t)")
    if (put_ := _put_of(key, kept)) is not None:
        yield from _called(f"{put_}(s, {key!r}, {source}, t, tie)", around.then)
        return
    if kept.function == "count":
        yield from _kept(key, kept, "1", around)
        return
    if kept.function == "last" and not is_windowed(kept):  # the same again, as each event of a browser says its zone
        yield f"if o is not None and type({source}) is str and {source} == o[2]: o[0] = t; o[1] = tie; v = None"
        yield f"else: v = last_lift({source}, t, tie)"
        yield from _under("v is not None", _kept(key, kept, "v", around))
        return
    yield f"v = {prefix(kept)}_lift({source}, t, tie)"
    yield from _under("v is not None" if kept.field is not None else "", _kept(key, kept, "v", around))


def _put_of(key: str, kept: n.Aggregate) -> str | None:
    """What puts an event into the slot all by itself, if there is such a thing."""
    if kept.calendar is not None and kept.timezone == n.PERSON:
        return f"kept_{key}.calendar.put"
    return f"{prefix(kept)}_put" if not is_windowed(kept) and monoid_of(kept).put is not None else None


def _kept(key: str, kept: n.Aggregate, state: str, around: Around) -> Iterator[str]:
    name, then = prefix(kept), around.then
    if kept.calendar is not None:
        yield f"if (w := kept_{key}.calendar.add(s.get({key!r}), t, {state}, now)) is not None:"
        yield f"    s[{key!r}] = w{_joined(then)}"
    elif kept.until_ms is not None:
        yield f"s[{key!r}] = kept_{key}.add(s.get({key!r}), t, {state})"
        yield f"if t + {kept.until_ms} <= now: {_armed(kept.within_ms or 0)}{_joined(then)}"
        yield f"else: {_armed(kept.until_ms)}"
    elif kept.within_ms is not None:
        yield from _pane(key, kept.within_ms, state, name)
        if then and kept.function == "count":
            yield f"n = s[{key!r}][5]"
        yield from then
    elif kept.function == "count":
        yield f"{'n = ' if then else ''}s[{key!r}] = s.get({key!r}, 0) + 1"
        yield from then
    elif kept.function in _AT_AN_END:
        yield f"s[{key!r}] = v"
        if then:  # Only another value is one to judge.
            yield f"if o is None or not identical(o[2], v[2]): {'; '.join(then)}"
    else:
        yield f"o = s.get({key!r}); s[{key!r}] = v if o is None else {name}_combine(o, v)"
        yield from then


def _pane(key: str, within_ms: int, state: str, name: str) -> Iterator[str]:
    yield f"w = s.get({key!r})"
    if name == "count":
        easy = f"w[0] == 1 and t > w[2] and w[6] == {windows.WIDTH} and len(w[3]) < {_PANES_BYTES}"
        yield f"if w is None: s[{key!r}] = {_begun(within_ms)}"
        yield f"elif {easy} and t - w[1] < {windows.REACH_MS}:"
        yield "    w[2] = t; w[3] += pack(t - w[1]); w[5] += 1"
        yield "    if w[4] is not None: w[4] += ONE"
        yield f"else: s[{key!r}] = add(w, t, 1, count_monoid, {within_ms})"
    else:
        yield f"s[{key!r}] = add(w, t, {state}, {name}_monoid, {within_ms})"
    yield f"if t + {within_ms} < p.due_ms: p.due_ms = t + {within_ms}"


def _begun(within_ms: int) -> str:
    """Source of a window with one event, of which only the count is kept."""
    _, base_ms, _, *rest = windows.begin(0, 1, MONOIDS["count"], within_ms)
    return f"[1, t - {-base_ms}, t, {', '.join(map(repr, rest))}]"


def _called(call: str, then: Sequence[str]) -> Iterator[str]:
    """A call that says whether the value may have changed."""
    yield f"if {call}: {'; '.join(then)}" if then else call


def _armed(after_ms: int) -> str:
    return f"p.due_ms = min(p.due_ms, t + {after_ms})"


def _joined(then: Sequence[str]) -> str:
    return "".join(f"; {each}" for each in then)


class _Steps:
    """Source that puts an event into a sequence, if it is a step of it."""

    def __init__(self, key: str, kept: n.Sequence, scope: EventScope, around: Around) -> None:
        self._key = key
        self._kept = kept
        self._scope = scope
        self._around = around

    def lines(self, event: str) -> Iterator[str]:
        kept = self._kept
        always, wheres = steps_of(kept, event)
        bits = "m" if wheres else repr(always)
        if wheres:
            yield f"m = {always}"
        for bit, where in wheres:
            yield f"if {self._scope.boolean(where)}: m |= {bit}"
        conditions = [] if always else ["m"]
        if kept.during_ms is not None:
            conditions.append(f"t > now - {kept.during_ms}")
        key = self._key
        call = f"kept_{key}.put(s, {key!r}, t, {bits})"
        if kept.same is not None:
            value = self._scope.once(f"same_key({self._scope.value(kept.same)})")
            conditions.append(f"{value} is not None")
            call = f"kept_{key}.put(s, {key!r}, t, {bits}, {value})"
        elif not wheres and is_written_out(kept, always):
            call = f"put_{key}_{always}(s, {key!r}, t)"
        yield from _under(" and ".join(conditions), self._put(call))

    def _put(self, call: str) -> Iterator[str]:
        if self._kept.during_ms is not None:
            yield _armed(self._kept.during_ms)
        yield from _called(call, self._around.then)


def steps_of(kept: n.Sequence, event: str) -> tuple[int, list[tuple[int, n.Node]]]:
    """Bits of the steps that any event of this name is, and (bit, condition) of those that it may be."""
    concerned = [(1 << i, step) for i, step in enumerate(kept.steps) if step.event in (event, "*")]
    always = sum(bit for bit, step in concerned if step.where is None)
    return always, [(bit, step.where) for bit, step in concerned if step.where is not None]


def putters_of(key: str, kept: n.Sequence, chain: Chain) -> dict[str, Any]:
    """What the source of a sequence's slot calls, by name."""
    scope: dict[str, Any] = {f"kept_{key}": chain}
    for bits, wheres in (steps_of(kept, event) for event in n.events_of(kept)):
        if not wheres and is_written_out(kept, bits):
            scope[f"put_{key}_{bits}"] = chain.putter(bits)
    return scope
