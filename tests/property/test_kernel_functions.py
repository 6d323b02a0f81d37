"""The kernel's functions against Python's: the same values of the same types, and the same instants to be woken at."""

from datetime import UTC, datetime
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onefold.language import nodes as n
from onefold.language.functions import DIGITS, DURATION, FUNCTIONS, INSTANT, MOMENT, PATTERN, REGEX, UNIT, ZONE, Kind
from onefold.language.stream.described import OfPerson, Slots
from onefold.language.stream.source import CALLED, ProfileScope, Surroundings
from onefold.language.zones import ZONES, zone_file
from onefold.limits import DAY_MS, NEVER_MS, TEXT_MAX_CHARS
from onefold.model.profile import Declared

kernel = pytest.importorskip("onefold_kernel")
kernel.read_zones_with(zone_file, sorted(ZONES))

NAMES = sorted(FUNCTIONS)
MOVING = sorted(name for name, function in FUNCTIONS.items() if function.moves or function.turn)
ZONE_NAMES = ("UTC", "Europe/Berlin", "America/Sao_Paulo", "Australia/Lord_Howe", "Asia/Kathmandu", "Africa/Casablanca")
START_MS = 1_750_000_000_000

letters = st.text([*map(chr, (0x131, 0x3A3, 0x3C3, 0x3C2, 0x130, 0x1C5, 0xFB01)), *"aAbBzZ ß\tẞéÉ%_.\\\n0159-+eE,😀"],
                  max_size=12)  # fmt: skip
"""Among them letters whose small or capital ones are special."""
numbers = st.one_of(
    st.integers(-3, 20), st.integers(-(1 << 63) + 1, (1 << 63) - 1), st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from((1 << 53, (1 << 53) + 1, -(1 << 53), 0.5, -0.5, 2.5, 1e22, -0.0, 0.1, 180.0, 89.9999)),
    st.floats(-180, 180),
)  # fmt: skip


def _iso(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms // 1000, UTC).replace(microsecond=at_ms % 1000 * 1000).isoformat()


written = st.one_of(
    st.integers(-62_135_424_000_000, 253_402_041_600_000).map(_iso),
    st.integers(START_MS - 800 * DAY_MS, START_MS + 800 * DAY_MS).map(_iso),
    st.dates().map(str),
    st.sampled_from(("2024-02-29", "2023-02-29", "0000-01-01", "9999-12-31", "0001-01-01")),
)
scalars = st.one_of(st.none(), st.booleans(), letters, numbers, written)
values = st.one_of(scalars, st.lists(scalars, max_size=4), st.dictionaries(letters, scalars, max_size=2))
literals: dict[Kind, st.SearchStrategy[Any]] = {
    DIGITS: st.integers(0, 15), UNIT: st.sampled_from("smhdw"), PATTERN: letters,
    REGEX: st.sampled_from(("[a-z]+", "^a", r"\d{2,}$", "(?i)ß", ".", r"\bb", "")),
    DURATION: st.sampled_from(("1s", "-7d", "30d", "3660d", "-3660d")), ZONE: st.sampled_from(ZONE_NAMES),
}  # fmt: skip
fitting = {"string": st.one_of(letters, written), "number": numbers, "list": st.lists(scalars, max_size=4)}


class Profile:
    """What a value arms."""

    due_ms = NEVER_MS


class Asked(NamedTuple):
    """A call, and what the person has declared."""

    call: n.Call
    declared: dict[str, Any]
    level: float | None
    now_ms: int


@st.composite
def calls(draw: st.DrawFn, names: list[str]) -> Asked:
    """A call of one of these functions, its arguments declared traits, literals and what moves with time."""
    name = draw(st.sampled_from(names))
    function = FUNCTIONS[name]
    least, most = len(function.params) - function.optional, len(function.params) + 3 * function.more
    declared: dict[str, Any] = {}
    arguments = [_argument(draw, function.kind(i), declared) for i in range(draw(st.integers(least, most)))]
    level = draw(st.one_of(st.none(), st.integers(-3, 2030), st.floats(-3, 40), st.sampled_from((1e300, -1e300))))
    now_ms = draw(st.one_of(st.integers(START_MS - 900 * DAY_MS, START_MS + 900 * DAY_MS),
                            st.integers(-62_135_424_000_000, 253_402_041_600_000)))  # fmt: skip
    moves = function.moves or any(isinstance(each, n.Now) for each in arguments)
    return Asked(n.Call(0, name, tuple(arguments)), declared, level if moves else None, now_ms)


def _argument(draw: st.DrawFn, kind: Kind, declared: dict[str, Any]) -> n.Node:
    if kind.literal:
        return n.Literal_(0, draw(literals[kind]))
    if kind is MOMENT and draw(st.booleans()):
        return n.Now(0, draw(st.sampled_from((0, DAY_MS, 30 * DAY_MS, -DAY_MS, 7 * 3_600_000))))
    if kind is ZONE and draw(st.booleans()):
        return n.Literal_(0, draw(literals[ZONE]))
    name = f"t{len(declared)}"
    wanted = written if kind in (INSTANT, MOMENT) else fitting.get(kind.types[0], values)
    wanted = literals.get(kind, wanted)
    declared[name] = draw(st.one_of(wanted, wanted, wanted, values))
    return n.Declared(0, (name,))


def by_python(asked: Asked, timezone: str) -> tuple[Any, int]:
    """The value, and when it wakes its profile, by the generated code."""
    among = Surroundings({}, timezone)
    source = ProfileScope(among)._call(asked.call, asked.level)
    profile = Profile()
    scope = CALLED | among.constants | {"p": profile, "now": asked.now_ms}
    scope["d"] = {name: Declared(value, 0, b"", 0) for name, value in asked.declared.items()}
    return eval(source, scope), profile.due_ms


def by_kernel(asked: Asked, timezone: str) -> tuple[Any, int]:
    """The same by the kernel."""
    described = OfPerson({}, Slots(frozenset(), timezone)).value(asked.call, asked.level)
    found: tuple[Any, int] = kernel.ask(described, asked.declared, asked.now_ms, NEVER_MS)
    return found


def are_alike(asked: Asked, timezone: str) -> None:
    """Both say the same."""
    if asked.call.function == "abs":
        asked = asked._replace(call=n.Call(0, "abs", (n.Arithmetic(0, "+", asked.call.args[0], n.Literal_(0, 0)),)))
    expected, found = by_python(asked, timezone), by_kernel(asked, timezone)
    assert (repr(found[0]), found[1]) == (repr(expected[0]), expected[1])


@settings(max_examples=300, deadline=None)
@given(asked=calls(NAMES), timezone=st.sampled_from(ZONE_NAMES))
def test_a_function_is_what_it_is_in_python(asked: Asked, timezone: str) -> None:
    """Every function, of values that it is for and of any others."""
    are_alike(asked, timezone)


@settings(max_examples=300, deadline=None)
@given(asked=calls(MOVING), timezone=st.sampled_from(ZONE_NAMES))
def test_what_moves_with_time_wakes_when_it_does_in_python(asked: Asked, timezone: str) -> None:
    """Also beside midnights, changes of clocks and the ends of the calendar, and compared with a level."""
    are_alike(asked, timezone)


def test_the_longest_text_is_as_long_as_in_python() -> None:
    """At the bound, and one past it."""
    for size in (TEXT_MAX_CHARS, TEXT_MAX_CHARS + 1):
        parts = {"t0": "é" * (size - 1), "t1": "b"}
        call = n.Call(0, "concat", (n.Declared(0, ("t0",)), n.Declared(0, ("t1",))))
        are_alike(Asked(call, parts, None, START_MS), "UTC")
