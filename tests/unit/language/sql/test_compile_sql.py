"""SQL over history says what the reference says, also of values that SQL would take for something else."""

import itertools
from datetime import datetime
from typing import Any

import msgspec
import pytest

from onefold.errors import NotInSql
from onefold.language.reading.check import Checked, checked
from onefold.language.scalars.dates import undated
from onefold.language.sql.columns import LAYERS_MAX
from onefold.language.sql.compile import compile_sql
from onefold.language.sql.functions import FUNCTIONS
from onefold.limits import DAY_MS, UNIQUE_VALUES_MAX
from onefold.model.event import Event
from onefold.model.past import Past, PastMerge, unsigned
from onefold.storage.history import sql_functions
from onefold.testing.memory.history import MemoryHistory
from onefold.testing.pasts import occurrence
from onefold.testing.reference import values as reference
from onefold.testing.reference.calls import Instant, kind
from onefold.testing.world import define

NOW_MS = 1_750_000_000_000
EXACT = 1 << 53
VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 1.0, -0.0, 0.1, 0.2, 0.30000000000000004, 12.34, -12.34, 1e-9, 5e-324, 1e16,
    10**16 + 1,
    EXACT, EXACT + 1, -EXACT - 1, EXACT - 1, float(EXACT), 2**60 + 1, 2**63, 2**63 - 1, -(2**63), 1e290, 1e291,
    1.7976931348623157e308, -1.7976931348623157e308, "", "a", "A", "ß", "İ", "ΑΣ", "Ärmel", 'a"b', "a\\b", "a\nb",
    "\x00", "a\x00b",
    "\x7f", "\u2028", "😀", "\uffff", "it's", "%", "1", "12.34", "true", "null", "[1]", '{"a":1}', "NaN", "inf",
    "2025-06-15", "2025-06-15T15:06:40Z", "2025-06-15t15:06:40.123456+02:00", "2025-02-30", "2025-06-15T24:00:00Z",
    "0000-01-01", "9999-12-31T23:59:59.999Z", [], [1, "1", True, None], [EXACT + 1, "ß"], ["a", "A"],
    [[1]], {}, {"city": "a"},
    {"city": None}, {"city": {"city": 1}, "n": 2**63},
)  # fmt: skip
"""What senders send."""
_F = ("traits.x", 'first("E", properties.x)', 'max("E", properties.x)')
_NUMBERS = ("0", "1", "-1", "0.1", "12.34", "9007199254740992", "9007199254740993", "1e16", "10000000000000001", "2")
_STRINGS = ("a", "A", "ß", 'a"b', "it's", "1", "true", "😀", "")


def _traits() -> dict[str, str]:
    """Expressions that meet each value in each way, as traits."""
    texts: list[str] = []
    for field, number in itertools.product(_F, _NUMBERS):
        texts += [f"{field} {op} {number}" for op in ("==", "!=", "<", ">=")]
        texts += [f"{field} {op} {number}" for op in ("+", "-", "*", "/", "%")]
    for field, string in itertools.product(_F[:2], _STRINGS):
        spelt = msgspec.json.encode(string).decode()
        texts += [f"{field} {op} {spelt}" for op in ("==", "!=", "<", ">=")]
        texts += [f"{f}({field}, {spelt})" for f in ("contains", "starts_with", "ends_with")]
        texts.append(f'count("E", where=properties.x == {spelt} or properties.y < {spelt})')
    for field in _F[:2]:
        texts += [f"lower({field})", f"upper({field})", f"length({field})", f"exists({field})", f"not {field} == true"]
        texts += [
            f"{field} == true",
            f"{field} != false",
            f"{field} in (1, 0.1)",
            f'{field} in ("a", "ß")',
            f"-{field} < 0",
        ]
        texts += [f"{field} == traits.y", f"{field} < traits.y", f"{field} + traits.y", f"contains({field}, traits.y)"]
        texts += [f"{field} > first_seen", f"{field} == last_seen", f'{field} < ago("30d")', f"now() > {field}"]
        texts += [f"starts_with({field}, traits.y)", f"{field}"]
        texts += [f'like({field}, "{pattern}")' for pattern in ("a%", "_", "%", "", "a_b", "%\\\\%", "[1]")]
        texts += [f'matches({field}, "{regex}")' for regex in ("^a", "^$", "a.b", "[0-9]+$", "a\\\\sb", "^.$", "(?i)ä")]
        texts += [f"{f}({field})" for f in ("floor", "ceil", "round", "abs", "sqrt", "trim", "to_number")]
        texts += [f"{f}({field})" for f in ("year", "hour", "to_instant", "years_since", "is_anniversary")]
        texts += [f"round({field}, 2)", f"element({field}, 0)", f"coalesce({field}, traits.y)", f"coalesce({field}, 7)"]
        texts += [f'split({field}, "a")', f'contains_any({field}, "a", "1", 1)', f"least({field}, traits.y, 3)"]
        texts += [f'hour({field}, "Asia/Kathmandu")', f'date_add({field}, "-1d")', f'elapsed({field}, "d")']
        texts += [
            f"days_between({field}, now())",
            f"case({field} == 1, {field}, traits.y)",
            f"case({field} == 1, true)",
        ]
        texts += [f'any({field}, item == 1) or all({field}, item == "a")', f"any({field}, contains(item, 1))"]
    for aggregate in ("sum", "avg", "min", "max", "first", "last", "most_frequent", "unique", "unique_count"):
        for event, field, within in itertools.product(("E", "*"), ("x", "x.city"), ("", ', within="30d"')):
            texts.append(f'{aggregate}("{event}", properties.{field}{within})')
    texts += [f'{f}("E", properties.x{more})' for f in ("percentile", "top") for more in (", 1", ", 50")]
    texts += ['stddev("E", properties.x)', 'first("E", time)', 'last("*", time)', "first_seen", "traits.x[0]"]
    texts += ['count("E", where=year(time) == 2025 and properties.x[1] == "1")', 'date_add(first_seen, "1d")']
    texts += [
        "traits.x.city",
        'traits["a b"]',
        'traits["a\\"b"]',
        'count("E", where=properties["a.b"] == 1)',
        "traits.group.id",
    ]
    texts += [
        "traits.group.plan",
        "traits.group",
        "events",
        'count("*", where=name == type)',
        'last("*", context.campaign["*"])',
    ]
    return {f"t{number}": text for number, text in enumerate(dict.fromkeys(texts))}


def _past(profile: int, number: int, event: Event, ago_ms: int = 0) -> Past:
    name = event.event or event.type
    at_ms = NOW_MS - ago_ms
    return Past(0, number << 16, profile, at_ms, NOW_MS, number.to_bytes(16, "big"), "web", name, event)


def _people() -> list[Past]:
    """One person for each value, with a second value beside it."""
    found: list[Past] = []
    for number, value in enumerate(VALUES):
        other = VALUES[(7 * number + 3) % len(VALUES)]
        properties = {"x": value, "y": other, "a.b": 1 if number % 2 else "1"}
        traits = {"x": value, "y": other, "a b": value, 'a"b': other}
        group = {"plan": value} if number % 3 else None
        campaign = {"campaign": {"*": other, "x": value}}
        for event, ago_ms in (
            (Event("track", event="E", properties=properties), 0),
            (Event("track", event="E", properties=properties | {"x": other}), 40 * DAY_MS),
            (Event("track", event="it's", properties=properties, context=campaign), 1),
            (Event("identify", traits=traits), 0),
            (Event("identify", traits={"x": other}), 5),
            (Event("group", groupId=number if number % 2 else f"g{number}", traits=group), 5),
        ):
            found.append(_past(number + 1, len(found), event, ago_ms))
    return found


def _asked(definitions: Checked, history: MemoryHistory, now_ms: int = NOW_MS) -> dict[int, dict[str, Any]]:
    plan = compile_sql({"": definitions})
    connection = history.connect()
    sql_functions.register(connection, FUNCTIONS | dict(plan.functions))
    rows = connection.execute(plan.values([now_ms])).fetchall()
    connection.close()
    names = [output.name for output in plan.outputs]
    return {
        unsigned(person): {
            name: value if isinstance(value, bool) else _decoded(value, definitions.types.get(name))
            for name, value in zip(names, values, strict=True)
            if value is not None
        }
        for _, person, *values in rows
    }


def _decoded(text: str, type_: str | None) -> Any:
    """A trait's value as the reference has it."""
    if type_ != "instant":
        return msgspec.json.decode(text)
    at_ms = undated(msgspec.json.decode(text, type=datetime))
    assert at_ms is not None
    return Instant(at_ms)


def _reference(definitions: Checked, pasts: list[Past], now_ms: int = NOW_MS) -> dict[str, Any]:
    declared: dict[str, Any] = {}
    for past in sorted(pasts, key=lambda past: past.order):
        said = past.event.traits or {}
        if past.event.type == "group":
            said = {"group": {"id": past.event.groupId, **said}}
        if past.event.type in ("identify", "group"):
            declared |= {name: value for name, value in said.items() if value is not None}
    person = reference.Person(tuple(map(occurrence, pasts)), declared)
    return reference.values(definitions, person, now_ms)[0]


def test_every_value_means_the_same() -> None:
    """Whatever a sender sends, each comparison, function and aggregate gives what the reference gives."""
    texts = {name: text for name, text in _traits().items() if not checked(define({name: text})).problems}
    definitions, pasts = checked(define(texts)), _people()
    found = _asked(definitions, MemoryHistory(pasts))
    wrong = []
    for person, values in found.items():
        expected = _reference(definitions, [past for past in pasts if past.profile == person])
        for name, text in texts.items():
            ours, theirs = values.get(name), expected.get(name)
            if (ours, kind(ours)) != (theirs, kind(theirs)):
                wrong.append((VALUES[person - 1], text, ours, theirs))
    assert not wrong, (len(wrong), wrong[:20])


@pytest.mark.parametrize("function", ["unique", "unique_count", "most_frequent", "top"])
def test_beyond_a_tally_the_sample_is_the_streams(function: str) -> None:
    """Of more values than a tally keeps, SQL keeps the same ones as the stream."""
    from onefold.language.keeping.aggregates import MONOIDS
    from onefold.language.keeping.leaders import top

    values = [f"v{number}" for number in range(UNIQUE_VALUES_MAX + 50)] + [1.0, True, 2, 0.5]
    values += values[::3]
    pasts = [_past(1, i, Event("track", event="E", properties={"x": value})) for i, value in enumerate(values)]
    number = ", 5" if function == "top" else ""
    found = _asked(checked(define({"t": f'{function}("E", properties.x{number})'})), MemoryHistory(pasts))
    monoid = top(5) if function == "top" else MONOIDS[function]
    states = [monoid.lift(value, 0, b"") for value in values]
    assert found == {1: {"t": monoid.result(monoid.total(states))}}


def test_people_are_who_they_were_then() -> None:
    """As of an instant, only merges up to it count, through any number of them."""
    definitions = checked(define({"n": 'count("E")'}))
    pasts = [_past(profile, profile & 3, Event("track", event="E")) for profile in (1, 2, (200 << 56) + 3)]
    pasts = [msgspec.structs.replace(past, received_ms=NOW_MS - 10) for past in pasts]
    merges = [PastMerge((200 << 56) + 3, 2, 0, 5, NOW_MS - 5), PastMerge(2, 1, 0, 6, NOW_MS)]
    history = MemoryHistory(pasts, merges)
    assert _asked(definitions, history, NOW_MS - 10) == {1: {"n": 1}, 2: {"n": 1}, (200 << 56) + 3: {"n": 1}}
    assert _asked(definitions, history, NOW_MS - 1) == {1: {"n": 1}, 2: {"n": 2}}
    assert _asked(definitions, history) == {1: {"n": 3}}
    assert _asked(definitions, history, NOW_MS - 11) == {}


def test_what_has_no_sql_is_named() -> None:
    """A construct without SQL is refused by name, and so is what builds on itself too deeply."""
    with pytest.raises(NotInSql, match="random_share"):
        compile_sql({"": checked(define({}, {"some": 'random_share("test", 10)'}))})
    deep = {"t0": 'first("E", properties.x)'} | {f"t{i}": f"lower(t{i - 1})" for i in range(1, LAYERS_MAX)}
    with pytest.raises(NotInSql, match="deep"):
        compile_sql({"": checked(define(deep))})


def test_only_what_is_wanted_is_compiled() -> None:
    """Of many definitions the statement holds what is wanted and the traits that it names."""
    definitions = checked(define({"a": 'count("A")', "b": 'count("B")', "c": "a + 1"}, {"x": "c > 1", "y": "b > 1"}))
    plan = compile_sql({"": definitions}, {"": ["x"]})
    assert [output.name for output in plan.outputs] == ["x"]
    assert "'A'" in plan.picked(NOW_MS)
    assert "'B'" not in plan.picked(NOW_MS)
