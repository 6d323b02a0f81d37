"""What type an expression has among traits whose types are known, and the parts of it that can never be right."""

import re
from collections.abc import Iterable, Mapping

from onefold.language import nodes as n
from onefold.language.durations import UNITS_MS, why_not
from onefold.language.functions import ANY, DURATION, FUNCTIONS, MOMENT, REGEX, STEPS_MIN_MS, ZONE, Kind, of_account
from onefold.language.instants import parse_instant
from onefold.language.problem import Part, Problem
from onefold.language.reading.parse import no_name
from onefold.language.scalars import patterns
from onefold.language.suggest import nearest
from onefold.language.zones import ZONES
from onefold.model.account import ID, TRAITS

_SUGGESTIONS_MAX = 100
"""Names that one check looks up the nearest of: each look-up goes over all names."""
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'|[\w.]+|.', re.DOTALL)


class Suggestions:
    """The nearest of many names, for a bounded number of times."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = [*names, *n.BUILTINS]
        self._left = _SUGGESTIONS_MAX

    def near(self, name: str) -> str:
        """The nearest name; empty where there is none, or too many have been looked up."""
        self._left -= 1
        return nearest(name, self._names) if self._left >= 0 else ""


class Typer:
    """Finds the type of an expression, and the parts of it that can never be right."""

    def __init__(
        self,
        text: str,
        traits: Mapping[str, n.Type],
        audiences: frozenset[str],
        suggestions: Suggestions,
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
