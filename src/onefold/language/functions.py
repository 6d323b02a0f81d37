"""The catalogue of scalar functions: what each takes and gives, and what computes it.

Everything that must know a function reads it here: the parser the number of its arguments, the checker their kinds, the
stream what to call, tests what to generate. Each stands in every scope, but for those that move with time, which an
event or an item of it cannot.
"""

from collections.abc import Callable, Mapping
from typing import Any, Literal

from msgspec import Struct

from onefold.language import nodes as n
from onefold.language.durations import UNITS_MS, parse_duration
from onefold.language.scalars import amounts, dates, geo, lists, patterns, text
from onefold.language.values import instant
from onefold.language.zones import zone
from onefold.limits import DAY_MS


class Kind(Struct, frozen=True):
    """What may stand as an argument."""

    types: tuple[n.Type, ...]
    """Known types that fit; what only data can tell always does, except where a literal is wanted."""
    says: str
    """What the function is for, as in "`lower` is for strings"."""
    prepare: Callable[[Any], Any] | None = None
    """Of a literal: what the compiled code is given in its place, None where the literal is wrong."""
    literal: bool = False
    """Only a literal may stand there."""


def _regex(value: Any) -> patterns.Search | None:
    try:
        return patterns.search(value) if isinstance(value, str) else None
    except ValueError:
        return None


def _shift(value: Any) -> int | None:
    """A duration, also a negative one."""
    if not isinstance(value, str):
        return None
    ms = parse_duration(value.removeprefix("-"))
    return -ms if ms is not None and value.startswith("-") else ms


def _digits(value: Any) -> int | None:
    return value if type(value) is int and 0 <= value <= 15 else None


ANY = Kind(("number", "string", "boolean", "instant", "list"), "anything")
ALIKE = Kind(("number", "string", "boolean", "instant", "list"), "values of one kind")
SCALAR = Kind(("number", "string", "boolean"), "numbers, strings, yes and no")
STRING = Kind(("string",), "strings")
NUMBER = Kind(("number",), "numbers")
NUMERIC = Kind(("number", "string"), "strings and numbers")
LIST = Kind(("list",), "lists")
SIZED = Kind(("string", "list"), "strings and lists")
INSTANT = Kind(("instant", "string"), "instants")
MOMENT = Kind(("instant", "string"), "instants and dates")
"""Also `now()` and `ago()`; and a date alone is that day, in whatever zone."""
PATTERN = Kind(("string",), "a pattern in quotes", lambda v: patterns.like(v) if isinstance(v, str) else None, True)
REGEX = Kind(("string",), "a regular expression (RE2) in quotes", _regex, True)
DURATION = Kind(("string",), 'a duration in quotes, as in `"7d"` or `"-7d"`', _shift, True)
UNIT = Kind(("string",), 'a unit in quotes: `"s"`, `"m"`, `"h"`, `"d"` or `"w"`', UNITS_MS.get, True)
DIGITS = Kind(("number",), "a number of decimal places from 0 to 15", _digits, True)
ZONE = Kind(("string",), 'the name of a time zone, as in `"Europe/Berlin"`', zone)

Result = n.Type | Literal["same"]
"""`same`: the type that its arguments have in common."""


class Function(Struct, frozen=True):
    """One function."""

    params: tuple[Kind, ...]
    result: Result
    call: Callable[..., Any]
    """(arguments …) → value; with `zoned` the time zone follows them; with `moves` also now, and a level or nothing."""
    optional: int = 0
    """How many of the last parameters may be left out."""
    default: Any = None
    """What the compiled code is given for a parameter that was left out, other than a time zone."""
    more: bool = False
    """The last parameter may stand any number of times."""
    zoned: bool = False
    """The last parameter is a time zone; the workspace's, where it is left out."""
    moves: bool = False
    """Its value changes with time alone; profile scope only. `call` gives it with the instant of its next change."""
    turn: dates.Turn | None = None
    """When the value can change, where `now()` or `ago()` stands as a MOMENT."""

    def kind(self, index: int) -> Kind:
        """What stands as argument number `index`."""
        return self.params[min(index, len(self.params) - 1)]

    def takes(self, arguments: int) -> bool:
        """Whether so many arguments are right."""
        least = len(self.params) - self.optional
        return least <= arguments and (self.more or arguments <= len(self.params))

    def says_how_many(self) -> str:
        """How many arguments there may be, in words."""
        least, most = len(self.params) - self.optional, len(self.params)
        if self.more:
            return f"{least} values or more"
        if least == most:
            return "one value" if most == 1 else f"{most} values"
        return f"{least} to {most} values"


def _calendar(call: Callable[..., Any], turn: dates.Turn | None = None) -> Function:
    return Function((MOMENT, ZONE), "number", call, optional=1, zoned=True, turn=turn or dates.turn_of_day(call))


def _anniversary(call: Callable[..., Any], result: n.Type = "number") -> Function:
    return Function((MOMENT, ZONE), result, call, optional=1, zoned=True, moves=True)


FUNCTIONS: dict[str, Function] = {
    "exists": Function((ANY,), "boolean", lambda value: value is not None),
    "coalesce": Function((ALIKE, ALIKE), "same", lists.coalesce, more=True),
    # strings
    "lower": Function((STRING,), "string", text.lower),
    "upper": Function((STRING,), "string", text.upper),
    "trim": Function((STRING,), "string", text.trim),
    "length": Function((SIZED,), "number", text.length),
    "contains": Function((SIZED, SCALAR), "boolean", lists.contains),
    "contains_any": Function((SIZED, SCALAR), "boolean", lists.contains_any, more=True),
    "starts_with": Function((STRING, STRING), "boolean", text.starts_with),
    "ends_with": Function((STRING, STRING), "boolean", text.ends_with),
    "like": Function((STRING, PATTERN), "boolean", text.matches),
    "matches": Function((STRING, REGEX), "boolean", text.matches),
    "replace": Function((STRING, STRING, STRING), "string", text.replace),
    "concat": Function((STRING, STRING), "string", text.concat, more=True),
    "substring": Function((STRING, NUMBER, NUMBER), "string", text.substring, optional=1, default=1 << 53),
    "left": Function((STRING, NUMBER), "string", text.left),
    "right": Function((STRING, NUMBER), "string", text.right),
    "split": Function((STRING, STRING), "list", text.split),
    "to_string": Function((SCALAR,), "string", text.to_string),
    # lists
    "element": Function((LIST, NUMBER), "any", lists.element),
    # numbers
    "abs": Function((NUMBER,), "number", amounts.absolute),
    "round": Function((NUMBER, DIGITS), "number", amounts.rounded, optional=1, default=0),
    "floor": Function((NUMBER,), "number", amounts.floor),
    "ceil": Function((NUMBER,), "number", amounts.ceil),
    "sqrt": Function((NUMBER,), "number", amounts.root),
    "power": Function((NUMBER, NUMBER), "number", amounts.power),
    "least": Function((NUMBER, NUMBER), "number", amounts.least, more=True),
    "greatest": Function((NUMBER, NUMBER), "number", amounts.greatest, more=True),
    "to_number": Function((NUMERIC,), "number", text.to_number),
    # instants and the calendar
    "to_instant": Function((STRING,), "instant", instant),
    "date_add": Function((INSTANT, DURATION), "instant", dates.add),
    "year": _calendar(dates.year),
    "month": _calendar(dates.month),
    "day": _calendar(dates.day_of_month),
    "weekday": _calendar(dates.weekday),
    "hour": _calendar(dates.hour, dates.turn_of_hour),
    "days_between": Function(
        (MOMENT, MOMENT, ZONE), "number", dates.days_between, optional=1, zoned=True, turn=dates.turn_of_date
    ),
    "elapsed": Function((INSTANT, UNIT), "number", dates.elapsed, optional=1, default=DAY_MS, moves=True),
    "years_since": _anniversary(dates.years_since),
    "days_until_anniversary": _anniversary(dates.days_until_anniversary),
    "is_anniversary": _anniversary(dates.is_anniversary, "boolean"),
    # places
    "geo_distance": Function((NUMBER, NUMBER, NUMBER, NUMBER), "number", geo.distance),
}
"""Name → function."""

STEPS_MIN_MS = UNITS_MS["h"]
"""A finer unit of `elapsed` only stands in a comparison with a number: its value would wake people too often."""


def moves(call: n.Call) -> bool:
    """Whether the value of this call changes with time alone."""
    return FUNCTIONS[call.function].moves or any(isinstance(argument, n.Now) for argument in call.args)


def of_account(trait: str) -> str:
    """What a trait of accounts is called among those of people."""
    return f"account.{trait}"


def is_instant(node: n.Node | None, traits: Mapping[str, n.Type]) -> bool:
    """Whether the values of an expression that passed the check are instants, among traits of these types.

    Those of accounts are among them, called as `of_account` says.
    """
    match node:
        case n.Now() | n.Field(path=("time",)):
            return True
        case n.Builtin(name=name):
            return n.BUILTINS[name] == "instant"
        case n.TraitRef(name=name):
            return traits.get(name) == "instant"
        case n.OfAccount(path=path):
            return traits.get(of_account(str(path[0]))) == "instant"
        case n.Aggregate(function="first" | "last", field=field):
            return is_instant(field, traits)
        case n.Case(values=values):
            return is_instant(values[0], traits)
        case n.Call(function=function, args=args):
            result = FUNCTIONS[function].result
            return result == "instant" or (result == "same" and is_instant(args[0], traits))
    return False
