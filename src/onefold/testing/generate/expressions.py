"""Random definitions that pass the check, and random histories for them: what differential tests are fed with.

Both come from one small vocabulary, so that conditions are met, events collide and windows matter. Needs hypothesis.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from hypothesis import strategies as st

from onefold.language import nodes as n
from onefold.language.reading.check import checked
from onefold.language.reading.show import show
from onefold.limits import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS
from onefold.model.definitions import Audience, Definitions, Trait
from onefold.testing.generate import behaviour
from onefold.testing.generate.calls import DATES, ZONES, Drawer, call, counted, named
from onefold.testing.reference.values import Occurrence

START_MS = 1_750_000_000_000
EVENTS = behaviour.EVENTS
WINDOWS_MS = behaviour.WINDOWS_MS
_STEPS_MS = (0, 0, 1, 500, 999, SECOND_MS, SECOND_MS + 1, 9_999, 10 * SECOND_MS, MINUTE_MS, HOUR_MS, DAY_MS)
_DATES = ("2025-06-15", "2025-06-15T15:06:40Z", "2025-06-16T00:00:00.5+02:00")
_WORDS = ("", "a", "A", "ab", "shoes", "Ärmel", "true", "1", *_DATES, *DATES[:3])
_NUMBERS = (-2, -1, 0, 1, 2, 3, 10, 1000, 0.1, 0.2, 0.5, 1.0, -1.5, 1e16, 12.34)
_FIELDS = (
    ("properties", "price"), ("properties", "price"), ("properties", "category"), ("properties", "anything"),
    ("properties", "deep", "price"), ("context", "campaign", "source"), ("traits", "plan"), ("properties", "items"),
    ("properties", "items", 0, "price"), ("name",), ("type",),
)  # fmt: skip
_DECLARED = (("plan",), ("age",), ("anything",), ("address", "city"), ("tags",), ("tags", 0))
_ITEM = ((), ("price",), ("category",), ("tags", 1), ("if",), ("item",))

_number = st.sampled_from(_NUMBERS)
_word = st.sampled_from(_WORDS)
_scalar: st.SearchStrategy[Any] = _number | _word | st.booleans()
_anything: st.SearchStrategy[Any] = _scalar | st.none() | st.lists(_scalar, max_size=3) | st.just({"city": "a"})
_deep = st.fixed_dictionaries({"price": _number}) | _anything
_context: st.SearchStrategy[dict[str, Any]] = st.sampled_from(({}, *({"campaign": {"source": w}} for w in _WORDS[:4])))
_often = st.sampled_from((True, True, True, False))


# --- histories ---------------------------------------------------------------------------------------------
@st.composite
def occurrences(draw: st.DrawFn, at_ms: int, tie: int) -> Occurrence:
    """One event at this time."""
    type_ = draw(st.sampled_from(("track", "track", "track", "page", "identify")))
    name = draw(st.sampled_from(EVENTS)) if type_ == "track" else type_
    fields = {"price": _number | _anything, "category": _word, "anything": _anything, "deep": _deep}
    properties = {name: draw(values) for name, values in fields.items() if draw(_often)}
    traits = {"plan": draw(_anything)} if draw(_often) else {}
    return Occurrence(at_ms, tie, name, type_, properties, draw(_context), traits)


@st.composite
def histories(draw: st.DrawFn, max_size: int = 12) -> list[tuple[int, Occurrence]]:
    """Events as (when it arrived, event) in order of arrival; some happened well before, some at the same instant.

    A duplicate is for whoever feeds them: an event delivered twice is in here once.
    """
    arrivals: list[tuple[int, Occurrence]] = []
    now_ms = START_MS
    ties = draw(st.permutations(range(max_size)))
    for index in range(draw(st.integers(0, max_size))):
        now_ms += draw(st.sampled_from(_STEPS_MS))
        late_ms = draw(st.sampled_from((0, 0, 0, *_STEPS_MS)))
        arrivals.append((now_ms, draw(occurrences(now_ms - late_ms, ties[index]))))
    return arrivals


def declared() -> st.SearchStrategy[dict[str, Any]]:
    """Declared traits of somebody."""
    fields = {"plan": _anything, "age": _number, "anything": _anything, "address": _anything, "tags": _anything}
    return st.fixed_dictionaries({}, optional=fields)


# --- expressions -------------------------------------------------------------------------------------------
_order = st.sampled_from(("<", "<=", ">", ">="))
_comparison = st.sampled_from(n.COMPARISONS)
_choices = {
    type_: st.lists(values, min_size=1, max_size=3).map(tuple)
    for type_, values in {"number": _number, "string": _word, "any": _scalar}.items()
}
_literals: dict[n.Type, st.SearchStrategy[Any]] = {"number": _number, "string": _word, "boolean": st.booleans()}


class _Trees:
    """Draws trees in one scope. Nothing is built that is not drawn: trees would be too many."""

    def __init__(self, draw: st.DrawFn, traits: Mapping[str, n.Type] | None) -> None:
        self.draw = draw
        self.traits = traits
        """None in event scope."""
        self.items = False
        """True in item scope."""
        self.audiences: list[str] = []

    def pick(self, *choices: Any) -> Any:
        return self.draw(st.sampled_from(choices))

    def leaf(self, type_: n.Type) -> n.Node:  # noqa: PLR0911 (one for each scope and kind)
        """A name, an aggregate or a literal that may have a value of this type."""
        if type_ in _literals and self.pick(True, False, False):
            return n.Literal_(0, self.draw(_literals[type_]))
        if self.items:
            path: n.Path = self.pick(*_ITEM)
            return n.Item(0, path)
        if self.traits is None:
            return n.Field(0, self.pick(*(path for path in _FIELDS if len(path) > 1 or type_ == "string")))
        names = [name for name, has in self.traits.items() if has in (type_, "any")]
        match self.pick("declared", "aggregate", "aggregate", "trait", "events"):
            case "trait" if names:
                return n.TraitRef(0, self.pick(*names))
            case "events" if type_ == "number":
                return n.Builtin(0, "events")
            case "declared":
                return n.Declared(0, self.pick(*_DECLARED))
        return self.aggregate(type_)

    def aggregate(self, type_: n.Type) -> n.Node:
        """An aggregate or a sequence that may have a value of this type."""
        if type_ in ("number", "boolean") and self.pick(True, False, False, False):
            return behaviour.sequence(self._choose, self._where, counted=type_ == "number")
        return behaviour.aggregate(self._choose, type_, _FIELDS, self._where)

    def _choose(self, choices: Sequence[Any]) -> Any:
        return self.draw(st.sampled_from(choices))

    def _where(self) -> n.Node | None:
        return _Trees(self.draw, None).boolean(0) if self.pick(True, False) else None

    def of(self, type_: n.Type, depth: int) -> n.Node:
        """Any expression of this type, at most this deep."""
        if type_ == "instant":
            return self._instant()
        if depth <= 0 or type_ in ("any", "list") or self.pick(True, False):
            return self.leaf(type_)
        if type_ == "boolean":
            return self.boolean(depth - 1)
        if self.pick(True, False, False):
            return n.Case(0, (self.boolean(depth - 1),), (self.of(type_, depth - 1),), self.of(type_, depth - 1))
        if type_ == "string" or self.pick(True, False):
            return call(self.pick(*named(type_, moving=self._profile)), self._drawer(depth - 1))
        return self._number(depth - 1)

    @property
    def _profile(self) -> bool:
        return self.traits is not None and not self.items

    def _drawer(self, depth: int) -> Drawer:
        def of(type_: n.Type) -> n.Node:
            return self.boolean(max(depth, 0)) if type_ == "boolean" else self.of(type_, max(depth, 0))

        return Drawer(lambda choices: self.pick(*choices), of, instants=self._profile)

    def _instant(self) -> n.Node:
        """What is an instant by its form."""
        if not self._profile:
            time: n.Node = n.Item(0, ("category",)) if self.items else n.Field(0, ("time",))
            return n.Call(0, "to_instant", (time,)) if self.items else time
        names = [name for name, has in (self.traits or {}).items() if has == "instant"]
        match self.pick("seen", "seen", "event", "declared", "trait"):
            case "event":
                return behaviour.aggregate(self._choose, "instant", _FIELDS, self._where)
            case "declared":
                return n.Call(0, "to_instant", (n.Declared(0, ("plan",)),))
            case "trait" if names:
                return n.TraitRef(0, self.pick(*names))
        return n.Builtin(0, self.pick("first_seen", "last_seen"))

    def _number(self, depth: int) -> n.Node:
        form = self.pick("arithmetic", "arithmetic", "negate", "length")
        if form == "length":
            whole = self.leaf("string") if self.pick(True, False) else self.leaf("list")
            return n.Call(0, "length", (whole,))
        part = self.of("number", depth)
        if form == "negate" and not isinstance(part, n.Literal_):
            return n.Negate(0, part)
        return n.Arithmetic(0, self.pick(*n.ARITHMETIC), part, self.of("number", depth))

    def boolean(self, depth: int) -> n.Node:  # noqa: PLR0911 (one for each form)
        """What is a yes or no by its form."""
        match self.pick("compare", "compare", "compare", "and", "or", "not", "in", "call", "items", "person"):
            case "items":
                return self._quantified(depth)
            case "person" if self._profile:
                return self._of_person(depth)
            case "and":
                return n.And(0, self._parts(depth))
            case "or":
                return n.Or(0, self._parts(depth))
            case "not":
                return n.Not(0, self.of("boolean", depth))
            case "in":
                type_ = self.pick("number", "string", "any")
                return n.In(0, self.of(type_, depth), self.draw(_choices[type_]))
            case "call":
                return self._call(depth)
        return self._compare(depth)

    def _parts(self, depth: int) -> tuple[n.Node, ...]:
        return tuple(self.of("boolean", depth) for _ in range(self.pick(2, 3)))

    def _call(self, depth: int) -> n.Node:
        return call(self.pick(*named("boolean", moving=self._profile)), self._drawer(depth - 1))

    def _quantified(self, depth: int) -> n.Node:
        items, outer, self.items = self.leaf("list"), self.items, True
        condition = self.boolean(depth - 1)
        self.items = outer
        return n.Quantified(0, self.pick(*n.QUANTIFIERS), items, condition)

    def _of_person(self, depth: int) -> n.Node:
        match self.pick("audience", "share", "counted"):
            case "audience" if self.audiences:
                return n.InAudience(0, self.pick(*self.audiences))
            case "share":
                return n.Share(0, self.pick("a", "spring"), self.pick(0, 10, 12.5, 100))
        return counted(self._drawer(depth - 1))

    def _compare(self, depth: int) -> n.Node:
        type_: n.Type = self.pick("number", "number", "string", "any", "boolean", "instant")
        if type_ == "instant" and self._profile:
            return self._instants()
        if type_ == "boolean":
            return n.Compare(0, self.pick("==", "!="), self.of(type_, depth), self.of(type_, depth))
        chosen: n.Type = "any" if type_ == "instant" else type_
        return n.Compare(0, self.draw(_comparison), self.of(chosen, depth), self.of(chosen, depth))

    def _instants(self) -> n.Node:
        seen = n.Builtin(0, self.pick("first_seen", "last_seen"))
        fixed = self.pick(seen, n.Literal_(0, self.pick(*_DATES)), self.leaf("any"))
        if self.pick(True, False):
            return n.Compare(0, self.draw(_comparison), seen, fixed)
        pair = (fixed, n.Now(0, self.pick(0, *WINDOWS_MS)))
        left, right = self.pick(pair, pair[::-1])
        return n.Compare(0, self.draw(_order), left, right)


@st.composite
def expressions(
    draw: st.DrawFn,
    type_: n.Type = "boolean",
    traits: Mapping[str, n.Type] | None = None,
    depth: int = 2,
    audiences: Sequence[str] = (),
) -> n.Node:
    """A tree in profile scope of this type that passes the check, naming these traits and audiences. Columns are 0."""
    trees = _Trees(draw, traits or {})
    trees.audiences = [*audiences]
    return trees.boolean(depth) if type_ == "boolean" else trees.of(type_, depth)


@st.composite
def definitions(draw: st.DrawFn, max_size: int = 4) -> Definitions:
    """Traits, later ones naming earlier ones, in a random order, and audiences."""
    types: Mapping[str, n.Type] = {}
    traits: list[Trait] = []
    for index in range(draw(st.integers(0, max_size))):
        type_: n.Type = draw(st.sampled_from(("number", "string", "boolean", "any", "list", "instant")))
        traits.append(Trait(f"t{index}", show(draw(expressions(type_, types)))))
        types = checked(Definitions(traits=tuple(traits))).types
    audiences: list[Audience] = []
    for index in range(draw(st.integers(1, 3))):
        earlier = [audience.name for audience in audiences]
        audiences.append(Audience(f"a{index}", show(draw(expressions("boolean", types, audiences=earlier)))))
    return Definitions(
        traits=tuple(draw(st.permutations(traits))),
        audiences=tuple(draw(st.permutations(audiences))),
        timezone=draw(st.sampled_from(ZONES)),
    )
