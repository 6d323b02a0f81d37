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
from onefold.language.functions import of_account
from onefold.language.problem import Part, Problem
from onefold.language.reading.parse import CALLABLE, EVENT_NAMES, EVENT_OBJECTS, parse_expression
from onefold.language.reading.typed import Suggestions, Typer
from onefold.language.stream.inputs import named, triggers
from onefold.language.zones import ZONES
from onefold.limits import (
    DEFINITION_INPUTS_MAX,
    DEFINITION_NAME_MAX_CHARS,
    DEFINITIONS_MAX,
    DEFINITIONS_MAX_BYTES,
    DEFINITIONS_PROBLEMS_MAX,
)
from onefold.model.account import ID
from onefold.model.definitions import Audience, Definitions, Destination, Source, Trait
from onefold.model.identity import NOTHING, Identity

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_LATER = ("null", "nil", "undefined", "step", "without", "audience", "audiences", "profile", "event")
RESERVED = frozenset((*n.BUILTINS, *CALLABLE, *EVENT_OBJECTS, *EVENT_NAMES, *map(str.lower, kwlist), *_LATER))
"""Names that mean something else, now or soon."""
_PROBLEMS_MAX = 10 * DEFINITIONS_PROBLEMS_MAX
"""More than anybody is told, so that the rest fills no memory."""


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
    """As the definitions have it: `runtime.identity.reading` has checked it."""


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
    typer = Typer(text, traits, frozenset(), Suggestions(traits), part="audience" if audience else "trait")
    typer.whole(node, audience=audience)
    return typer.problems or node


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
        suggestions = Suggestions(self.trait_names)
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
        suggestions = Suggestions(types)
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
        self, part: Part, name: str, node: n.Node, types: Mapping[str, n.Type], suggestions: Suggestions
    ) -> n.Type:
        typer = Typer(self.texts[part, name], types, self.audience_names, suggestions, part=part)
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
