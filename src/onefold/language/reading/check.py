"""What the parser cannot know: names, types, and that traits do not go round in circles.

Types are known where an expression says them (a count is a number), and `any` where only data can (event
properties, declared traits). Only what can never be right is refused; data of an unexpected type is no
mistake of a definition, and gives a missing value when it comes.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from keyword import kwlist

import msgspec
from msgspec import Struct

from onefold.language import nodes as n
from onefold.language.durations import UNITS_MS, why_not
from onefold.language.functions import ANY, DURATION, FUNCTIONS, MOMENT, REGEX, STEPS_MIN_MS, ZONE, Kind, of_account
from onefold.language.instants import parse_instant
from onefold.language.problem import Part, Problem
from onefold.language.reading.parse import CALLABLE, EVENT_NAMES, EVENT_OBJECTS, no_name, parse_expression
from onefold.language.scalars import patterns
from onefold.language.stream.inputs import named, triggers
from onefold.language.suggest import nearest
from onefold.language.zones import ZONES
from onefold.limits import (
    DEFINITION_INPUTS_MAX,
    DEFINITION_NAME_MAX_CHARS,
    DEFINITIONS_MAX,
    DEFINITIONS_MAX_BYTES,
    DEFINITIONS_PROBLEMS_MAX,
)
from onefold.model.account import ID, TRAITS
from onefold.model.definitions import Audience, Definitions, Destination, Source, Trait
from onefold.model.identity import NOTHING, Identity

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_LATER = ("null", "nil", "undefined", "step", "without", "audience", "audiences", "profile", "event")
RESERVED = frozenset((*n.BUILTINS, *CALLABLE, *EVENT_OBJECTS, *EVENT_NAMES, *map(str.lower, kwlist), *_LATER))
"""Names that mean something else, now or soon."""
_PROBLEMS_MAX = 10 * DEFINITIONS_PROBLEMS_MAX
"""More than anybody is told, so that the rest fills no memory."""
_SUGGESTIONS_MAX = 100
"""Names that one check looks up the nearest of: each look-up goes over all names."""
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'|[\w.]+|.', re.DOTALL)


class Checked(Struct, frozen=True):
    """Definitions as trees. Where there are problems, the trees are only those that could be read."""

    traits: dict[str, n.Node]
    """In dependency order: a trait comes after all those that it names."""
    audiences: dict[str, n.Node]
    """In dependency order, too."""
    types: dict[str, n.Type]
    """Trait → type of its value."""
    problems: list[Problem]
    timezone: str = "UTC"
    """Whose days and hours the expressions read."""
    accounts: dict[str, n.Node] = {}
    """The traits of accounts, in dependency order."""
    account_types: dict[str, n.Type] = {}
    """Trait of accounts → type of its value. `types` has them, too, as `functions.of_account`."""
    identity: Identity = NOTHING
    """As the definitions have it: `runtime.identity_reading` has checked it."""


def checked(definitions: Definitions, *, stored: bool = False) -> Checked:
    """Parse and check everything, and find every mistake at once. Cost: linear in the definitions.

    `stored`: they are in force, or were. What is called as a function or a word of the language is now was called so
    before there was one, and keeps its name until it is applied anew.
    """
    return _Check(definitions, stored=stored).result()


def taken_names(definitions: Definitions) -> list[Problem]:
    """Of stored definitions those that are called as a word of the language is now; until applied anew they may be."""
    named: list[tuple[Part, str]] = [("trait", one.name) for one in definitions.traits]
    named += [("audience", one.name) for one in definitions.audiences]
    problems = (_wrong_name(part, name, {}) for part, name in named if name in RESERVED)
    return [problem for problem in problems if problem is not None]


def check_expression(text: str, traits: Mapping[str, n.Type], *, audience: bool = False) -> n.Node | list[Problem]:
    """One expression among traits of these types: its tree, or everything that is wrong with it."""
    node = parse_expression(text)
    if isinstance(node, list):
        return node
    typer = _Typer(text, traits, frozenset(), _Suggestions(traits), part="audience" if audience else "trait")
    typer.whole(node, audience=audience)
    return typer.problems or node


class _Suggestions:
    """The nearest of many names, for a bounded number of times."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = [*names, *n.BUILTINS]
        self._left = _SUGGESTIONS_MAX

    def near(self, name: str) -> str:
        self._left -= 1
        return nearest(name, self._names) if self._left >= 0 else ""


class _Check:
    def __init__(self, definitions: Definitions, *, stored: bool) -> None:
        self.problems: list[Problem] = []
        self._stored = stored
        if len(definitions.traits) + len(definitions.audiences) + len(definitions.account_traits) > DEFINITIONS_MAX:
            self.problems.append(
                Problem("too_large", f"more than {DEFINITIONS_MAX} traits and audiences", in_name=True)
            )
            definitions = Definitions()
        if (broken := _half_character(definitions)) is not None:
            self.problems.append(broken)
            definitions = Definitions()
        elif (size := len(msgspec.json.encode(definitions))) > DEFINITIONS_MAX_BYTES:
            message = f"all definitions together have {size} bytes; {DEFINITIONS_MAX_BYTES} are allowed"
            part, name = _first(definitions)
            self.problems.append(Problem("too_large", message, part=part, name=name, in_name=True))
            definitions = Definitions()
        self.timezone = definitions.timezone
        self.identity = definitions.identity
        if self.timezone not in ZONES:
            self.problems.append(Problem("value", f"there is no time zone `{self.timezone}`"))
        self.texts: dict[tuple[Part, str], str] = {}
        self.account_trees = self._trees("account_trait", definitions.account_traits, {})
        taken: dict[str, Part] = {}
        self.trait_trees = self._trees("trait", definitions.traits, taken)
        self.audience_trees = self._trees("audience", definitions.audiences, taken)
        self.trait_names = frozenset(trait.name for trait in definitions.traits)
        self.audience_names = frozenset(audience.name for audience in definitions.audiences)

    def result(self) -> Checked:
        accounts = self._accounts()
        order = _order(self.trait_trees, n.TraitRef, partial(self._circle, "trait"))
        audiences = _order(self.audience_trees, n.InAudience, partial(self._circle, "audience"))
        types: dict[str, n.Type] = dict.fromkeys(self.trait_names, "any")
        types |= {of_account(name): type_ for name, type_ in accounts.items()}
        suggestions = _Suggestions(self.trait_names)
        traits = {name: self.trait_trees[name] for name in order}
        for name, node in traits.items():
            types[name] = self._typed("trait", name, node, types, suggestions)
        for name, node in self.audience_trees.items():
            self._typed("audience", name, node, types, suggestions)
        self._bound_inputs([("trait", each) for each in order] + [("audience", each) for each in audiences])
        return Checked(
            {name: n.in_timezone(node, self.timezone) for name, node in traits.items()},
            {name: n.in_timezone(self.audience_trees[name], self.timezone) for name in audiences},
            types,
            self.problems,
            self.timezone,
            {name: n.in_timezone(self.account_trees[name], self.timezone) for name in accounts},
            accounts,
            self.identity,
        )

    def _accounts(self) -> dict[str, n.Type]:
        """The types of the traits of accounts, in dependency order."""
        types: dict[str, n.Type] = dict.fromkeys(self.account_trees, "any")
        suggestions = _Suggestions(types)
        order = _order(self.account_trees, n.TraitRef, partial(self._circle, "account_trait"))
        for name in order:
            types[name] = self._typed("account_trait", name, self.account_trees[name], types, suggestions)
        self._bound_inputs([("account_trait", each) for each in order])
        return {name: types[name] for name in order}

    def _trees(self, part: Part, definitions: Iterable[Trait | Audience], taken: dict[str, Part]) -> dict[str, n.Node]:
        trees: dict[str, n.Node] = {}
        for definition in definitions:
            name = definition.name
            problem = _wrong_name(part, name, taken)
            if problem and not (self._stored and problem.code == "reserved"):
                self.problems.append(problem)
            if taken.setdefault(name, part) == part and (part, name) in self.texts:
                continue
            self.texts[part, name] = definition.expression
            node = parse_expression(definition.expression)
            if isinstance(node, list):
                self._add(part, name, node)
            else:
                trees[name] = node
        return trees

    def _typed(
        self, part: Part, name: str, node: n.Node, types: Mapping[str, n.Type], suggestions: _Suggestions
    ) -> n.Type:
        typer = _Typer(self.texts[part, name], types, self.audience_names, suggestions, part=part)
        type_ = typer.whole(node, audience=part == "audience")
        self._add(part, name, typer.problems)
        return type_

    def _add(self, part: Part, name: str, problems: Iterable[Problem]) -> None:
        for p in problems if len(self.problems) < _PROBLEMS_MAX else ():
            self.problems.append(Problem(p.code, p.message, p.column, p.length, p.suggestion, part, name))

    def _bound_inputs(self, order: Iterable[tuple[Part, str]]) -> None:
        """The first definition, in this order of dependence, that depends on too much."""
        inputs: dict[str, frozenset[str]] = {}
        trees = {"trait": self.trait_trees, "audience": self.audience_trees, "account_trait": self.account_trees}
        for part, name in order:
            node = trees[part][name]
            found = frozenset(triggers(node))
            for used in named(node):
                more = inputs.get(used.name, frozenset())
                found = found | more if found else more
            if len(found) > DEFINITION_INPUTS_MAX:
                message = f"this depends on more than {DEFINITION_INPUTS_MAX} different aggregates and declared traits"
                self.problems.append(Problem("too_large", message, part=part, name=name))
                return
            inputs[name] = found

    def _circle(self, part: Part, around: list[str], column: int) -> None:
        used, name = around[-1], around[-2]
        if len(around) > _CIRCLE_SHOWN:
            around = [*around[: _CIRCLE_SHOWN // 2], "…", *around[-_CIRCLE_SHOWN // 2 :]]
        message = f"{_PLURAL[part]} go round in a circle: {' → '.join(around)}"
        self.problems.append(Problem("cycle", message, column, len(used), part=part, name=name))


def _order(
    trees: Mapping[str, n.Node], kind: type[n.TraitRef | n.InAudience], circle: Callable[[list[str], int], None]
) -> list[str]:
    """Names, each after those of the same kind that it refers to; a circle is reported once and then cut open."""
    uses = {name: dict(_references(node, kind)) for name, node in trees.items()}
    order: dict[str, None] = {}
    for start in trees:
        path: dict[str, Iterator[str]] = {}
        if start not in order:
            path[start] = iter(uses[start])
        while path:
            name = next(reversed(path))
            used = next(path[name], None)
            if used is None:
                del path[name]
                order[name] = None
            elif used in path:
                way = [*path]
                circle([*way[way.index(used) :], used], uses[name][used])
            elif used in uses and used not in order:
                path[used] = iter(uses[used])
    return list(order)


_CIRCLE_SHOWN = 12
_A_PART: dict[Part, str] = {"trait": "a trait", "audience": "an audience", "account_trait": "a trait of accounts"}
_PLURAL: dict[Part, str] = {"trait": "traits", "audience": "audiences", "account_trait": "traits of accounts"}


def _wrong_name(part: Part, name: str, taken: Mapping[str, Part]) -> Problem | None:
    def problem(code: str, message: str, suggestion: str = "") -> Problem:
        return Problem(code, message, 0, len(name), suggestion, part, name, in_name=True)  # type: ignore[arg-type]

    if part == "account_trait" and name == ID:
        return problem("reserved", f"`account.{name}` is what the account is called", f"account_{name}")
    if name in taken:
        other = f"there is already {_A_PART[taken[name]]} `{name}`"
        return problem("duplicate", other)
    if len(name) > DEFINITION_NAME_MAX_CHARS:
        return problem("name", f"a name has at most {DEFINITION_NAME_MAX_CHARS} characters")
    if not _NAME.fullmatch(name):
        plain = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
        suggestion = plain if _NAME.fullmatch(plain) and plain not in RESERVED else ""
        return problem("name", "a name is made of a-z, 0-9 and _, and begins with a letter", suggestion)
    if name in RESERVED:
        return problem("reserved", f"`{name}` means something else in expressions", f"{part.split('_')[0]}_{name}")
    return None


def _references(node: n.Node, kind: type[n.TraitRef | n.InAudience]) -> Iterator[tuple[str, int]]:
    """Traits or audiences that an expression names, and where."""
    stack: list[n.Node] = [node]
    while stack:
        node = stack.pop()
        if isinstance(node, kind):
            yield node.name, node.column
        elif not isinstance(node, n.Kept):
            stack.extend(reversed(list(n.children(node))))


def _first(definitions: Definitions) -> tuple[Part, str]:
    """Some definition, to show a problem of all of them at."""
    return next(((part, each.name) for part, each in _everything(definitions)), ("", ""))


def _everything(definitions: Definitions) -> Iterator[tuple[Part, Trait | Audience | Destination | Source]]:
    parts: tuple[tuple[Part, Iterable[Trait | Audience | Destination | Source]], ...] = (
        ("trait", definitions.traits),
        ("account_trait", definitions.account_traits),
        ("audience", definitions.audiences),
        ("destination", definitions.destinations),
        ("source", definitions.sources),
    )
    return ((part, each) for part, named in parts for each in named)


def _half_character(definitions: Definitions) -> Problem | None:
    """The first definition with half of a character (a lone surrogate): nothing that is stored or sent can hold it."""
    try:
        msgspec.json.encode(definitions)
    except UnicodeEncodeError:
        message = "a character is only half there, which no text can hold"
        for part, each in _everything(definitions):
            try:
                msgspec.json.encode(each)
            except UnicodeEncodeError:
                return Problem("value", message, part=part, name=each.name, in_name=True)
        return Problem("value", message)
    return None


class _Typer:
    """Finds the type of an expression, and the parts of it that can never be right."""

    def __init__(
        self,
        text: str,
        traits: Mapping[str, n.Type],
        audiences: frozenset[str],
        suggestions: _Suggestions,
        *,
        part: Part,
    ) -> None:
        self.problems: list[Problem] = []
        self._in_audience = part == "audience"
        self._in_account = part == "account_trait"
        self._text = text
        self._traits = traits
        self._audiences = audiences
        self._suggestions = suggestions

    def whole(self, node: n.Node, *, audience: bool) -> n.Type:
        """The type of a whole expression; that of an audience is yes or no, that of a trait a plain value."""
        type_ = self.type(node)
        if audience:
            self._wants(node, type_, ("boolean",), "an audience is a yes or no", _yes_or_no(node, type_))
        elif isinstance(node, n.Now):
            self._moves_on(node)
        return type_

    def type(self, node: n.Node) -> n.Type:
        """The type of any part."""
        match node:
            case n.Literal_(value=value):
                return _type_of(value)
            case n.Now():
                return "instant"
            case n.Field(path=path):
                return _EVENT_TYPES.get(path, "any")
            case n.Declared() | n.Item():
                return "any"
            case n.TraitRef():
                return self._trait(node)
            case n.OfAccount():
                return self._of_account(node)
            case n.Builtin(name=name):
                return n.BUILTINS[name]
            case n.And(parts=parts) | n.Or(parts=parts):
                return self._logic(parts)
            case n.Not(part=part):
                return self._logic((part,))
            case n.Compare():
                return self._compare(node)
            case n.In():
                return self._in(node)
            case n.Arithmetic(left=left, right=right):
                return self._arithmetic(left, right)
            case n.Negate(part=part):
                return self._arithmetic(part)
            case n.Call():
                return self._call(node)
            case n.Case():
                return self._case(node)
            case n.Quantified():
                return self._quantified(node)
            case n.InAudience():
                return self._membership(node)
            case n.Share():
                return "boolean"
            case n.Aggregate():
                return self._aggregate(node)
            case n.Sequence():
                for step in node.steps:
                    self._where(step.where)
                return "number" if node.counted else "boolean"
        raise AssertionError(node)

    # --- names ------------------------------------------------------------------------------------------------
    def _trait(self, node: n.TraitRef) -> n.Type:
        known = self._traits.get(node.name)
        if known is not None:
            return known
        if node.name in self._audiences:
            message = f"`{node.name}` is an audience"
            self._wrong(node, "wrong_scope", message, f'in_audience("{node.name}")' if self._in_audience else "")
        elif (why := no_name(node.name)) is not None:
            self._wrong(node, "arguments", *why)
        else:
            near = self._suggestions.near(node.name)
            message = f"there is no trait `{node.name}`; what events declare is `traits.{node.name}`"
            self._wrong(node, "unknown_name", message, near)
        return "any"

    def _of_account(self, node: n.OfAccount) -> n.Type:
        name = node.name
        if self._in_account:
            near = name if name in self._traits else ""
            message = "here stands what is known of the account itself: its traits by their names, `traits.…`"
            self._wrong(node, "wrong_scope", message, near)
        elif name == ID:
            return "string"
        elif node.path[0] == TRAITS:
            return "any"
        elif (known := self._traits.get(of_account(name))) is not None:
            return known
        else:
            accounts = [each for each in self._traits if each.startswith(of_account(""))]
            message = f"accounts have no trait `{name}`; what their events declare is `account.traits.{name}`"
            self._wrong(node, "unknown_name", message, nearest(of_account(name), [*accounts, of_account(ID)]))
        return "any"

    def _membership(self, node: n.InAudience) -> n.Type:
        if not self._in_audience:
            message = "a trait does not depend on audiences: make a trait of what they share"
            self._wrong(node, "wrong_scope", message)
        elif node.name not in self._audiences:
            near = nearest(node.name, self._audiences)
            self._wrong(node, "unknown_name", f"there is no audience `{node.name}`", near)
        return "boolean"

    # --- operators --------------------------------------------------------------------------------------------
    def _logic(self, parts: Iterable[n.Node]) -> n.Type:
        for part in parts:
            type_ = self.type(part)
            self._wants(part, type_, ("boolean",), "`and`, `or` and `not` join yes and no", _yes_or_no(part, type_))
        return "boolean"

    def _compare(self, node: n.Compare) -> n.Type:
        left, right = self._side(node.left, node.right), self._side(node.right, node.left)
        for side, type_ in ((node.left, left), (node.right, right)):
            if type_ == "list":
                self._wrong(side, "type", "a list is not compared", f"contains({self._token(side)}, …)")
                return "boolean"
            if type_ == "boolean" and node.op not in ("==", "!="):
                self._wrong(side, "type", f"yes and no have no order for `{node.op}`")
                return "boolean"
        moving = isinstance(node.left, n.Now) or isinstance(node.right, n.Now)
        if moving and node.op in ("==", "!="):
            self._wrong(node, "type", "time moves on: an instant is compared with <, <=, > or >=")
        elif {left, right} == {"instant", "string"}:
            for side in (node.left, node.right):
                if isinstance(side, n.Literal_):
                    self._is_instant(side)
        elif left != right and "any" not in (left, right):
            what = f"{_A[left]} never compares with {_A[right]}: `{left} {node.op} {right}`"
            self._wrong(node.right, "type", what, _unquoted(node.right, left))
        return "boolean"

    def _is_instant(self, node: n.Literal_) -> None:
        if parse_instant(str(node.value)) is None:
            self._wrong(node, "type", 'an instant is written as in "2026-01-31" or "2026-01-31T12:00:00Z"')

    def _side(self, node: n.Node, other: n.Node) -> n.Type:
        """One side of a comparison; against a number, time may be counted in any unit."""
        if isinstance(node, n.Call) and isinstance(other, n.Literal_):
            return self._call(node, compared=True)
        return self.type(node)

    def _in(self, node: n.In) -> n.Type:
        item = self.type(node.item)
        for value in node.options:
            type_ = _type_of(value)
            if item == "instant":
                self._wrong(node.item, "type", "an instant has an order: compare with <, <=, > or >=")
                break
            if item == "list":
                self._wrong(node.item, "type", "a list is not compared", f"contains({self._token(node.item)}, …)")
                break
            if item not in ("any", type_):
                self._wrong(node.item, "type", f"{_A[item]} is never {_A[type_]}, as {value!r} is")
                break
        return "boolean"

    def _arithmetic(self, *parts: n.Node) -> n.Type:
        for part in parts:
            self._wants(part, self.type(part), ("number",), "arithmetic is for numbers")
        return "number"

    # --- functions --------------------------------------------------------------------------------------------
    def _call(self, node: n.Call, *, compared: bool = False) -> n.Type:
        function = FUNCTIONS[node.function]
        types = [self._argument(node, function.kind(at), each) for at, each in enumerate(node.args)]
        match node.function:
            case "contains" | "contains_any" if types[0] == "string":
                for argument, type_ in zip(node.args[1:], types[1:], strict=True):
                    self._wants(argument, type_, ("string",), "a string contains strings")
            case "elapsed" if not compared and len(node.args) > 1:
                self._counts_slowly(node.args[1])
        if function.result == "same":
            return self._alike(node.args, types)
        return function.result

    def _argument(self, node: n.Call, kind: Kind, argument: n.Node) -> n.Type:
        name, type_ = node.function, self.type(argument)
        why = f"`{name}` is for {kind.says}"
        if isinstance(argument, n.Now) and not (kind is MOMENT and FUNCTIONS[name].turn):
            self._moves_on(argument)
        elif kind.literal and not isinstance(argument, n.Literal_):
            self._wrong(argument, "arguments", f"here stands {kind.says}, written out")
        elif kind.prepare and isinstance(argument, n.Literal_) and kind.prepare(argument.value) is None:
            self._wrong_literal(kind, argument)
        elif kind is not ANY and not kind.literal:
            self._wants(argument, type_, kind.types, why)
            instants = "instant" in kind.types and "number" not in kind.types
            if instants and isinstance(argument, n.Literal_) and type_ == "string":
                self._is_instant(argument)
        return type_

    def _wrong_literal(self, kind: Kind, argument: n.Literal_) -> None:
        value, why, near = argument.value, kind.says, ""
        if kind is ZONE and isinstance(value, str):
            why, near = f"there is no time zone `{value}`", nearest(value, ZONES)
        elif kind is REGEX and isinstance(value, str):
            why = f"this is no regular expression: {patterns.why_not(value)}"
        elif kind is DURATION and isinstance(value, str):
            why, near = why_not(value.removeprefix("-"))
        else:
            why = f"here stands {why}"
        self._wrong(argument, "value", why, near)

    def _counts_slowly(self, unit: n.Node) -> None:
        ms = UNITS_MS.get(str(unit.value)) if isinstance(unit, n.Literal_) else None
        if ms is not None and ms < STEPS_MIN_MS:
            message = "such a value changes too often: compare it with a number, or count in hours or longer units"
            self._wrong(unit, "type", message, '"h"')

    def _moves_on(self, node: n.Node) -> None:
        message = (
            "time moves on: `now()`, `ago()` and `from_now()` are to compare with, or for functions of the calendar"
        )
        self._wrong(node, "type", message)

    def _alike(self, nodes: Iterable[n.Node], types: Iterable[n.Type]) -> n.Type:
        """The one type of values of which any may be taken."""
        found: n.Type | None = None
        for node, type_ in zip(nodes, types, strict=True):
            if isinstance(node, n.Now):
                continue
            if found is None or found == type_:
                found = type_
            elif "instant" in (found, type_) and "any" in (found, type_):
                self._wrong(node, "type", "beside an instant stand instants", "to_instant(…)")
                return "any"
            elif "any" in (found, type_):
                found = "any"
            else:
                self._wrong(node, "type", f"these are values of one kind, and this is {_A[type_]} beside {_A[found]}")
                return "any"
        return found or "any"

    def _case(self, node: n.Case) -> n.Type:
        for condition in node.conditions:
            type_ = self.type(condition)
            why = "before each value of `case` stands its condition, a yes or no"
            self._wants(condition, type_, ("boolean",), why, _yes_or_no(condition, type_))
        values = [*node.values, *([] if node.otherwise is None else [node.otherwise])]
        for value in values:
            if isinstance(value, n.Now):
                self._moves_on(value)
        return self._alike(values, [self.type(value) for value in values])

    def _quantified(self, node: n.Quantified) -> n.Type:
        self._wants(node.items, self.type(node.items), ("list",), f"`{node.quantifier}` goes over lists")
        type_ = self.type(node.condition)
        why = f"the condition of `{node.quantifier}` is a yes or no"
        self._wants(node.condition, type_, ("boolean",), why, _yes_or_no(node.condition, type_))
        return "boolean"

    def _aggregate(self, node: n.Aggregate) -> n.Type:
        if self._in_account and node.timezone == n.PERSON:
            self._wrong(node, "wrong_scope", "an account is many people: name the time zone", 'timezone="UTC"')
        self._where(node.where)
        shape = n.AGGREGATES[node.function]
        type_ = "any" if node.field is None else self.type(node.field)
        if node.field is not None and shape.field == "number":
            self._wants(node.field, type_, ("number",), f"`{node.function}` is for numbers")
        elif node.field is not None and type_ == "instant":
            if node.function in ("first", "last"):
                return "instant"
            message = f"`{node.function}` does not go over instants; `first` and `last` do"
            self._wrong(node.field, "type", message)
        return shape.gives

    def _where(self, node: n.Node | None) -> None:
        if node is not None:
            type_ = self.type(node)
            self._wants(node, type_, ("boolean",), "`where=` is a yes or no", _yes_or_no(node, type_))

    # --- problems ---------------------------------------------------------------------------------------------
    def _wants(self, node: n.Node, type_: n.Type, wanted: tuple[n.Type, ...], why: str, suggestion: str = "") -> None:
        if type_ != "any" and type_ not in wanted:
            self._wrong(node, "type", f"{why}, and this is {_A[type_]}", suggestion)

    def _wrong(self, node: n.Node, code: str, message: str, suggestion: str = "") -> None:
        length = len(self._token(node))
        self.problems.append(Problem(code, message, node.column, length, suggestion))  # type: ignore[arg-type]

    def _token(self, node: n.Node) -> str:
        match = _TOKEN.match(self._text, node.column)
        return match[0] if match else ""


_A = {
    "number": "a number", "string": "a string", "boolean": "a yes or no", "instant": "an instant", "list": "a list",
    "any": "anything",
}  # fmt: skip
_EVENT_TYPES: dict[n.Path, n.Type] = {("name",): "string", ("type",): "string", ("time",): "instant"}


def _type_of(value: str | float | bool | None) -> n.Type:  # noqa: FBT001 (a JSON value, not an option)
    if value is None:
        return "any"
    if isinstance(value, bool):
        return "boolean"
    return "string" if isinstance(value, str) else "number"


def _yes_or_no(node: n.Node, type_: n.Type) -> str:
    if type_ == "number" and isinstance(node, n.TraitRef | n.Builtin):
        return f"{node.name} > 0"
    if type_ == "number" and isinstance(node, n.Aggregate) and node.function == "count":
        return "count(…) > 0"
    return ""


def _unquoted(node: n.Node, wanted: n.Type) -> str:
    """What a literal would be without its quotes, or with some."""
    value = node.value if isinstance(node, n.Literal_) else None
    if wanted == "number" and isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,15}(\.[0-9]{1,10})?", value):
        return value
    if wanted == "boolean" and isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower()
    return f'"{value}"' if wanted == "string" and isinstance(value, int) and not isinstance(value, bool) else ""
