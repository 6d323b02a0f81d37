"""Definitions that mean harm: each is refused with a clear error, or costs no more than its bounds say."""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from onefold.language.reading.check import Checked, checked
from onefold.language.sql.compile import compile_sql
from onefold.language.stream.compile import compile_definitions
from onefold.limits import DEFINITIONS_PROBLEMS_MAX, EXPRESSION_MAX_CHARS, TEXT_MAX_CHARS
from onefold.model.definitions import Audience, Definitions, Trait
from onefold.runtime.defining.given import accepted
from onefold.runtime.defining.workspace import WorkspaceError
from onefold.testing.world import World, define, identify, track

CPU_MAX_S = 20.0
"""A few seconds are what all definitions that there may be take; what explodes takes for ever."""


@contextmanager
def bounded(most_s: float = CPU_MAX_S) -> Iterator[None]:
    """Within so many seconds of this process's CPU."""
    begin_s = time.process_time()
    yield
    assert time.process_time() - begin_s < most_s


def built(definitions: Definitions) -> Checked:
    """Parsed, checked, and where they are right compiled to both; what is wrong is said where it is."""
    found = checked(definitions)
    if found.problems:
        for problem in found.problems:
            assert problem.message
            problem.show()
        return found
    compile_definitions(found, 1)
    compile_sql({"now": found}, {"now": [*found.traits, *found.audiences][:3]})
    return found


def folded(definitions: Definitions, *events: dict[str, object]) -> World:
    """A world in which one person did all that."""
    world = World(definitions)
    for event in events:
        world.send(event)
    world.fold()
    return world


REFUSED: dict[str, tuple[str, str]] = {
    "brackets": ("(" * 1_500 + "1" + ")" * 1_500, "brackets inside each other"),
    "signs": ("-" * 3_000 + "1", "too large"),
    "signs enough": ("-" * 100 + "1", "too deep"),
    "nots": ("not " * 900 + "true", "too deep"),
    "calls": ("lower(" * 40 + '"a"' + ")" * 40, "too deep"),
    "choices": ("1 if true else " * 200 + "2", "too deep"),
    "items in items": ("any(traits.a, " * 40 + "x > 1" + ")" * 40, "too deep"),
    "sums": ("+".join(["1"] * 600), "too "),
    "terms": (" and ".join(["events > 1"] * 200), "too large"),
    "a huge text": ('traits.a == "' + "x" * EXPRESSION_MAX_CHARS + '"', "at most 4000 characters"),
    "a huge number": ("events > " + "9" * 3_000, "too large"),
    "a huge exponent": ("events > 1e99999", "too large"),
    "a path of paths": ("traits" + ".a" * 1_900 + ".b(", "never closed"),
    "chained comparisons": ("0 < (0 < (0 < (0 < events < 1) < 1) < 1) < 1", "chain of comparisons"),
    "between betweens": ("between(between(between(events, 1, 2), 1, 2), 1, 2)", "comparisons inside"),
    "a regular expression that is too large": (
        f'matches(traits.a, "{"((a{100}){100}){100}"}")',
        "no regular expression",
    ),
    "a regular expression that looks back": (r'matches(traits.a, "(a)\\1")', "no regular expression"),
    "a window for ever": ('count("A", within="99999999999d") > 1', "at most"),
    "half a character": ('traits.a == "\\ud800"', "no character"),
    "a control character": ('traits.a == "\x00"', "control character"),
    "a line that writes backwards": ("events \u202e> 1", "not part of the language"),
    "quotes that are none": ("traits.a == \u201ca\u201d", "straight"),
    "letters that look alike": ("\u0435vents > 1", "no trait"),
    "a word in another script": ('traits.\ufb01 == "a"', "in brackets and quotes"),
    "a name of nothing": ('traits[""] == 1', "a field has a name"),
    "thousands of steps": ('sequence("A", ' + ", ".join(['"B"'] * 400) + ")", "at most 8"),
    "an import": ('__import__("os")', "no function"),
    "an attribute": ('"".__class__', "values have no"),
    "an assignment": ("(x := 1)", "not given names"),
    "a format": ("'{}'.format(1)", "no methods"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_refused_says_why(what: str) -> None:
    """At once, whatever its size, with one clear reason at its place."""
    text, says = REFUSED[what]
    with bounded(2.0):
        problems = built(Definitions(audiences=(Audience("a", text),))).problems
    assert says in problems[0].message, problems[0].message
    assert 0 <= problems[0].column <= len(text)


def chain(link: Callable[[str], str], first: str, length: int) -> Definitions:
    """Traits, each made of the one before it."""
    traits = [Trait("t0", first)] + [Trait(f"t{n}", link(f"t{n - 1}")) for n in range(1, length)]
    return Definitions(1, traits=tuple(traits))


CHAINS: dict[str, tuple[Callable[[str], str], str]] = {
    "doubled": (lambda t: f"{t} + {t}", 'count("A")'),
    "squared": (lambda t: f"{t} * {t}", 'count("A") + 1'),
    "raised": (lambda t: f"power({t}, {t})", 'count("A") + 1'),
    "joined": (lambda t: f"concat({t}, {t}, {t})", 'concat("a", traits.name)'),
    "replaced": (lambda t: f'replace({t}, "a", {t})', 'concat("a", traits.name)'),
    "split": (lambda t: f"coalesce({t}, {t})", 'split(traits.name, "")'),
    "chosen": (lambda t: f"case({t} > 1, {t}, {t} > 0, {t}, {t})", 'count("A")'),
    "nested": (lambda t: f"{t} and ({t} or not {t})", 'count("A") > 0'),
}


@pytest.mark.parametrize("what", CHAINS)
def test_what_expands_stays_linear(what: str) -> None:
    """Each trait names the one before it several times: neither code nor values grow by that."""
    link, first = CHAINS[what]
    short, long = chain(link, first, 100), chain(link, first, 200)
    with bounded():
        sizes = [len(compile_definitions(checked(each), 1).source) for each in (short, long)]
        world = folded(long, *(track("A", user="u") for _ in range(3)), identify(user="u", traits={"name": "aa" * 50}))
    assert sizes[1] < 2.5 * sizes[0]
    for value in world.person("user_id:u").computed.values():
        assert not isinstance(value, str) or len(value) <= TEXT_MAX_CHARS
        assert not isinstance(value, int | float) or abs(value) < float("inf")


def test_a_tree_of_traits_is_refused_where_it_rests_on_too_much() -> None:
    """What depends on more than its share of aggregates says so; what it would be made of is not written out."""
    traits = [Trait(f"a{n}", f'count("E{n}")') for n in range(300)]
    first, last = (", ".join(f"a{n}" for n in range(*each)) for each in ((0, 200), (150, 300)))
    traits += [Trait("all_of_it", f"least({first})"), Trait("more", f"least(all_of_it, {last})")]
    with bounded():
        problems = checked(Definitions(traits=tuple(traits))).problems
    assert [(p.name, "256 different" in p.message) for p in problems] == [("more", True)]


def test_circles_of_thousands_are_found() -> None:
    """Every one, once, in time linear in them."""
    around = tuple(Audience(f"a{n}", f'in_audience("a{(n + 1) % 5_000}")') for n in range(5_000))
    with bounded():
        (problem,) = checked(Definitions(audiences=around)).problems
    assert problem.code == "cycle"
    assert len(problem.message) < 500


def test_thousands_of_aggregates_cost_each_event_what_it_mentions() -> None:
    """Four thousand over names of their own: an event of one name puts into one, and stores one."""
    definitions = Definitions(1, traits=tuple(Trait(f"t{n}", f'count("E{n}", within="30d")') for n in range(4_000)))
    with bounded(60.0):
        world = folded(definitions, *(track(f"E{n}", user="u") for n in range(50)))
    person = world.profile("user_id:u")
    assert len(person.slots) == 50
    assert sum(value for value in person.computed.values() if isinstance(value, int)) == 50


def test_thousands_of_aggregates_over_everything_are_compiled() -> None:
    """Four thousand that every event is put into are much for an event, and stay within a second of it."""
    definitions = Definitions(1, traits=tuple(Trait(f"t{n}", f'sum("*", properties.p{n})') for n in range(4_000)))
    world = World(definitions)
    world.send(track("A", user="u", properties={"p7": 3}))
    with bounded(60.0):
        world.fold()
    world.send(track("A", user="u", properties={"p7": 3, "p8": 1}))
    with bounded(5.0):
        world.fold()
    assert {world.person("user_id:u").computed[name] for name in ("t6", "t7", "t8")} == {0, 6, 1}


def test_giant_lists_of_choices() -> None:
    """As many as an expression may hold are looked up, not compared one by one."""
    options = ", ".join(f'"{n}"' for n in range(490))
    definitions = Definitions(1, audiences=tuple(Audience(f"a{n}", f"traits.k in ({options})") for n in range(100)))
    with bounded(60.0):
        world = folded(definitions, identify(user="u", traits={"k": "489"}))
    assert len(world.person("user_id:u").audiences) == 100


PATTERNS = ("(a*)*b", "(a+)+$", "(a|a)*c", "(.*){40}x", "([a-z]+)*@", "(?i)(a|b|ab)*c", "a{500}", "^(a?){500}a{500}$")


def test_patterns_that_blow_up_elsewhere_are_linear_here() -> None:
    """The longest text against each, in the stream: milliseconds."""
    texts = tuple(f'matches(properties.t, "{pattern}")' for pattern in PATTERNS)
    definitions = Definitions(
        1, audiences=tuple(Audience(f"a{n}", f'count("A", where={t}) > 0') for n, t in enumerate(texts))
    )
    with bounded(10.0):
        folded(
            definitions,
            track("A", user="u", properties={"t": "a" * 20_000}),
            track("A", user="u", properties={"t": "ab" * 9_000}),
        )


def test_problems_are_bounded() -> None:
    """Whoever sends millions of mistakes is told the first of them, and fills no memory with the rest."""
    wrong = tuple(Audience(f"a{n}", "& " * 1_900) for n in range(500))
    with bounded(), pytest.raises(WorkspaceError) as refused:
        accepted(Definitions(audiences=wrong))
    found = refused.value.found
    assert len(found) == DEFINITIONS_PROBLEMS_MAX + 1
    assert found[-1].message == "there are more mistakes from here on"
    assert sum(len(one.show()) for one in found) < 1_000_000


PIECES = (
    "count(",
    "sum(",
    '"A"',
    '"*"',
    ")",
    ",",
    "(",
    " and ",
    " or ",
    " not ",
    " < ",
    " == ",
    " + ",
    "*",
    "-",
    "1",
    "1e308",
    "0.1",
    "traits.a",
    "properties.x",
    "within=",
    '"30d"',
    "where=",
    "t0",
    "t1",
    "any(",
    "all(",
    "case(",
    "in ",
    "sequence(",
    "step(",
    "without(",
    "concat(",
    "replace(",
    "split(",
    'matches(traits.a, "',
    "(a*)*",
    '")',
    "like(",
    '"%_%"',
    "power(",
    "time_since(",
    "streak(",
    "top(",
    "in_audience(",
    "random_share(",
    '"x"',
    ",50",
    "now()",
    'ago("1d")',
    "elapsed(",
    "is_anniversary(",
    "hour(",
    "then=",
    "absent=",
    "same=",
    "\u202e",
    "\ufb01",
    "\x00",
    "\ud800",
    "[",
    "]",
    "[0]",
    '["a"]',
    "if ",
    " else ",
)
hostile = st.lists(st.sampled_from(PIECES), max_size=60).map("".join) | st.builds(
    lambda piece, times, tail: piece * times + tail, st.sampled_from(PIECES), st.integers(1, 1_200), st.text(max_size=8)
)


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(hostile, min_size=1, max_size=4))
def test_whatever_is_written_is_compiled_or_refused(texts: list[str]) -> None:
    """Any pile of pieces: problems in their places, or code for both engines; never an exception, never for long."""
    traits = tuple(Trait(f"t{n}", text) for n, text in enumerate(texts[:-1]))
    with bounded(5.0):
        built(Definitions(1, traits=traits, audiences=(Audience("z", texts[-1]),)))


@pytest.mark.parametrize("seed", range(60))
def test_right_expressions_deeply_mixed_are_bounded(seed: int) -> None:
    """Trees as deep and wide as they may be, made of what is right, compile in bounded time and code."""
    chance = random.Random(seed)

    def tree(depth: int) -> str:
        if depth == 0:
            return chance.choice(('count("A")', "events", "t0", 'sum("A", properties.x, within="1d")', "3"))
        kind = chance.randrange(4)
        if kind == 0:
            return f"case({tree(depth - 1)} > 1, {tree(depth - 1)}, 2)"
        if kind == 1:
            return f"least({tree(depth - 1)}, {tree(depth - 1)})"
        return f"({tree(depth - 1)} {chance.choice('+-*/%')} {tree(depth - 1)})"

    texts = [tree(chance.randrange(1, 8)) for _ in range(10)]
    definitions = define({"t0": "events", **{f"u{n}": text for n, text in enumerate(texts)}})
    with bounded():
        found = built(definitions)
    assert all(p.code == "too_large" for p in found.problems)
