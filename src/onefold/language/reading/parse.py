"""From the text of an expression to its tree, through Python's own parser; nothing of it is ever executed.

`lexis` has already turned away what could be costly or is easily mistaken. What Python's grammar still allows
beyond the language is refused here, each with its reason at its column, and all of it at once.
"""

import ast
import math
import re
from collections.abc import Callable
from typing import Any, ClassVar, Literal, NamedTuple

from onefold.language.durations import parse_duration, why_not
from onefold.language.functions import FUNCTIONS
from onefold.language.nodes import (
    BUILTINS,
    QUANTIFIERS,
    Aggregate,
    And,
    Arithmetic,
    Builtin,
    Call,
    Case,
    Compare,
    Declared,
    Field,
    In,
    InAudience,
    Item,
    Literal_,
    Negate,
    Node,
    Not,
    Now,
    OfAccount,
    Or,
    Path,
    Quantified,
    Share,
    TraitRef,
)
from onefold.language.problem import Code, Problem
from onefold.language.reading import lexis
from onefold.language.reading.parse_behaviour import BEHAVIOUR, STEPS, read_behaviour
from onefold.language.reading.show import show_path, show_value
from onefold.language.suggest import nearest
from onefold.limits import EXPRESSION_MAX_DEPTH, EXPRESSION_MAX_NODES, NEVER_MS

Scope = Literal["profile", "event", "item"]

EVENT_OBJECTS = ("properties", "context", "traits")
"""Parts of an event that hold fields."""
EVENT_NAMES = ("name", "type", "time")
"""Fields of an event itself."""
ACCOUNT = "account"
"""What the person's account has, behind a dot."""
INSTANTS = ("now", "ago", "from_now")
ITEM = "item"
"""In the condition of a quantifier: the item itself."""
CONDITIONS = ("between", "in_audience", "consent", "random_share")
"""Conditions written like functions, with a reading of their own."""
CALLABLE = (*BEHAVIOUR, *FUNCTIONS, *INSTANTS, *CONDITIONS, *QUANTIFIERS, "case")


def no_name(word: str) -> tuple[str, str] | None:
    """Why a word that stands alone is no name of anything, and what was meant; None where it may be one.

    A trait that was defined before the word came into the language may be called so, and is still meant then: only
    the check knows.
    """
    if word in EVENT_OBJECTS:
        return f"say which field of `{word}`", f"{word}.…"
    return (f"`{word}` is a function and needs brackets", f"{word}(…)") if word in CALLABLE else None


_CONSENT = ("context", "consent", "categoryPreferences")
"""Where Segment's SDKs and consent wrappers say what a person has agreed to: an object of purposes."""
_CONSTANTS = {"true": True, "false": False}
_NUMBER_MAX = NEVER_MS
"""Whole numbers that every back end keeps exactly, the JavaScript one included."""

UNREADABLE = re.compile(r'["\\\x00-\x1f]')
"""In names of an event's fields: the decoder that reads just these fields takes no such name."""
_OF_PROFILE = {"event": "here stands only what is in the event itself", "item": "here stand only fields of the item"}
_MISSING = "a missing value is asked for with `exists(…)`"

_COMPARE = {ast.Eq: "==", ast.NotEq: "!=", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">="}
_ARITHMETIC = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.Mod: "%"}


def parse_expression(text: str) -> Node | list[Problem]:
    """The tree of an expression in profile scope, or everything that is wrong with it. Never raises."""
    _, problems = lexis.tokens(text)
    if problems:
        return problems
    tree = _python_tree(text)
    if isinstance(tree, Problem):
        return [tree]
    if too_large := _too_large(tree):
        return [too_large]
    reader = _Reader(text)
    node = reader.read(tree, "profile")
    return reader.problems or node


def _python_tree(text: str) -> ast.expr | Problem:
    try:
        # A bracket pair around the text lets it begin with spaces; columns are put right in `_Columns`.
        return ast.parse(f"({lexis.one_line(text)})", mode="eval").body
    except SyntaxError as error:
        column = min(max((error.offset or 1) - 2, 0), len(text))
        return Problem("syntax", "from here on this is no expression", column, 1)
    except (RecursionError, MemoryError, ValueError):
        return Problem("too_large", "the expression is too deep: make a trait of a part", 0, 1)


def _too_large(tree: ast.expr) -> Problem | None:
    """Counts level by level, so that a deep tree costs no stack."""
    count, depth, level = 0, 0, [tree]
    while level:
        count += len(level)
        depth += 1
        if count > EXPRESSION_MAX_NODES or depth > EXPRESSION_MAX_DEPTH:
            what = "large" if count > EXPRESSION_MAX_NODES else "deep"
            return Problem("too_large", f"the expression is too {what}: make a trait of a part", 0, 1)
        level = [child for node in level for child in _children(node)]
    return None


def _children(node: ast.expr) -> list[ast.expr]:
    """Of a path such as `properties.a.b` none: it is one node of ours, however long."""
    if isinstance(node, ast.Attribute | ast.Subscript) and _path(node):
        return []
    found = []
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.keyword):
            found.append(child.value)
        elif isinstance(child, ast.expr):
            found.append(child)
    return found


def _path(node: ast.expr) -> tuple[str, *Path] | None:
    """`a.b["c"][0]` as ("a", "b", "c", 0), or None for anything else."""
    steps: list[str | int] = []
    while not isinstance(node, ast.Name):
        if isinstance(node, ast.Attribute):
            steps.append(node.attr)
            node = node.value
        elif isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
            step = node.slice.value
            if not isinstance(step, str) and (type(step) is not int or step > _NUMBER_MAX):
                return None
            steps.append(step)
            node = node.value
        else:
            return None
    return (node.id, *reversed(steps))


class _Place(NamedTuple):
    column: int
    length: int


class _Columns:
    """Python counts the bytes of a bracketed copy; people count the characters of what they wrote."""

    def __init__(self, text: str) -> None:
        self._bytes = None if text.isascii() else f"({text}".encode()
        self._end = len(text)

    def of(self, node: ast.expr | ast.keyword) -> _Place:
        start = self._column(node.col_offset)
        end = self._column(node.end_col_offset if node.end_col_offset is not None else node.col_offset + 1)
        return _Place(start, max(1, end - start))

    def _column(self, offset: int) -> int:
        if self._bytes is not None:
            offset = len(self._bytes[:offset].decode(errors="replace"))
        return min(max(offset - 1, 0), self._end)


class _Reader:
    """Turns Python's tree into ours and notes what does not belong; where it does, a missing value stands in."""

    def __init__(self, text: str) -> None:
        self.problems: list[Problem] = []
        self._columns = _Columns(text)

    def read(self, node: ast.expr, scope: Scope) -> Node:
        """The tree of ours for a tree of Python's."""
        reader = self._readers.get(type(node))
        if reader is None:
            what = _NOT_OURS.get(type(node), "this is not part of the language")
            return self._refuse(node, "unsupported", what)
        return reader(self, node, scope)

    def _refuse(self, node: ast.expr | ast.keyword, code: Code, message: str, suggestion: str = "") -> Literal_:
        column, length = self._columns.of(node)
        self.problems.append(Problem(code, message, column, length, suggestion))
        return Literal_(column, None)

    def _at(self, node: ast.expr) -> int:
        return self._columns.of(node).column

    # --- values -----------------------------------------------------------------------------------------------
    def _constant(self, node: ast.Constant, _scope: Scope) -> Node:
        value = node.value
        if value is None:
            return self._refuse(node, "unsupported", _MISSING, "not exists(…)")
        if isinstance(value, int | float):
            if abs(value) > _NUMBER_MAX if isinstance(value, int) else not math.isfinite(value):
                return self._refuse(node, "value", "the number is too large")
            return Literal_(self._at(node), value)
        if isinstance(value, str):
            return Literal_(self._at(node), value)
        return self._refuse(node, "unsupported", "a value is a number, a string, true or false")

    def _name(self, node: ast.Name, scope: Scope) -> Node:
        name, column = node.id, self._at(node)
        if scope == "item" and name not in ("true", "false", "True", "False"):
            return Item(column, () if name == ITEM else (name,))
        if name.lower() in _CONSTANTS:
            if name not in ("true", "false", "True", "False"):
                return self._refuse(node, "syntax", f"`{name}` is written small", name.lower())
            return Literal_(column, _CONSTANTS[name.lower()])
        if name.lower() in ("null", "none", "nil", "undefined"):
            return self._refuse(node, "unsupported", _MISSING, "not exists(…)")
        if scope != "event":
            return Builtin(column, name) if name in BUILTINS else TraitRef(column, name)
        if name in EVENT_NAMES:
            return Field(column, (name,))
        if (why := no_name(name)) is not None:
            return self._refuse(node, "arguments", *why)
        return self._not_of_event(node, name)

    def _not_of_event(self, node: ast.Name, name: str) -> Node:
        if name in BUILTINS:
            message = f"`{name}` is of the profile; here stands only what is in the event itself"
            return self._refuse(node, "wrong_scope", message)
        message = f"`{name}` is not in an event: here stand `properties.…`, `context.…`, `traits.…`, `name` and `type`"
        return self._refuse(node, "wrong_scope", message, f"properties.{name}")

    def _dotted(self, node: ast.expr, scope: Scope) -> Node:
        path = _path(node)
        if path is None:
            return self._refuse_dotted(node)
        column, root, first = self._at(node), path[0], path[1:][0]
        if "" in path:
            return self._refuse(node, "value", "a field has a name")
        if scope == "item":
            return Item(column, path[1:] if root == ITEM else path)
        if root in EVENT_OBJECTS and not isinstance(first, str):
            return self._refuse(node, "value", f"`{root}` is no list: say which field of it", f"{root}.…[{first}]")
        if scope == "event" and root in EVENT_OBJECTS:
            if UNREADABLE.search(str(first)):
                return self._refuse(node, "value", "a field's name holds no quote, backslash or control character here")
            return Field(column, path)
        if root == "traits":
            return Declared(column, path[1:])
        if root == ACCOUNT:
            return self._of_account(node, path[1:], scope)
        if scope == "event":
            near = nearest(root, EVENT_OBJECTS)
            suggestion = show_path((near, *path[1:])) if near else ""
            return self._refuse(node, "unknown_name", f"an event has no `{root}`", suggestion)
        if root in EVENT_OBJECTS:
            message = f"`{root}` is of one event: it stands in an aggregate over events"
            return self._refuse(node, "wrong_scope", message, f'last("*", {show_path(path)})')
        if root in EVENT_NAMES or root in BUILTINS:
            return self._refuse(node, "type", f"`{root}` has no fields")
        near = "traits" if nearest(root, ("traits",)) else ""
        suggestion = show_path(("traits", *(path[1:] if near else path)))
        return self._refuse(node, "unknown_name", "only `traits` has fields here", suggestion)

    def _of_account(self, node: ast.expr, path: Path, scope: Scope) -> Node:
        if scope == "event":
            return self._refuse(node, "wrong_scope", f"an account is a person's: {_OF_PROFILE[scope]}")
        first, *rest = path
        if first == "traits" and not (rest and isinstance(rest[0], str)):
            return self._refuse(node, "arguments", "say which trait of the account", "account.traits.…")
        if not isinstance(first, str) or (rest and first != "traits"):
            message = "an account has its traits, `account.…`, and what its events declare, `account.traits.…`"
            return self._refuse(node, "type", message)
        return OfAccount(self._at(node), path)

    def _refuse_dotted(self, node: ast.expr) -> Node:
        if isinstance(node, ast.Attribute) and _is_text(node.value):
            return self._refuse(node, "unsupported", "values have no methods or fields")
        if isinstance(node, ast.Subscript) and _path(node.value):
            return self._refuse(
                node,
                "unsupported",
                'brackets hold the name of a field, or the place of an item from 0: `properties["order id"]`, `[0]`',
            )
        return self._refuse(node, "unsupported", "only `traits`, `properties` and `context` have fields")

    # --- operators --------------------------------------------------------------------------------------------
    def _both(self, node: ast.BoolOp, scope: Scope) -> Node:
        parts = tuple(self.read(value, scope) for value in node.values)
        column = self._at(node)
        return And(column, parts) if isinstance(node.op, ast.And) else Or(column, parts)

    def _unary(self, node: ast.UnaryOp, scope: Scope) -> Node:
        if isinstance(node.op, ast.UAdd | ast.Invert):
            return self._refuse(node, "unsupported", "a number needs no sign but `-`")
        part = self.read(node.operand, scope)
        if isinstance(node.op, ast.Not):
            return Not(self._at(node), part)
        value = node.operand.value if isinstance(node.operand, ast.Constant) else None
        if isinstance(value, int | float) and not isinstance(value, bool):
            return Literal_(self._at(node), -value)
        return Negate(self._at(node), part)

    def _binary(self, node: ast.BinOp, scope: Scope) -> Node:
        op = _ARITHMETIC.get(type(node.op))
        if op is None:
            return self._refuse(node, "unsupported", "arithmetic is `+`, `-`, `*`, `/` and `%`")
        return Arithmetic(self._at(node), op, self.read(node.left, scope), self.read(node.right, scope))

    def _compare(self, node: ast.Compare, scope: Scope) -> Node:
        """`a < b < c` is `a < b and b < c`."""
        if any(isinstance(op, ast.In | ast.NotIn) for op in node.ops):
            return self._membership(node, scope)
        operands = [node.left, *node.comparators]
        for middle in operands[1:-1]:
            if _compares(middle):
                return self._refuse(middle, "unsupported", "comparisons inside a chain of comparisons: use `and`")
        nodes = [self.read(operand, scope) for operand in operands]
        parts = []
        for n, op in enumerate(node.ops):
            if type(op) not in _COMPARE:
                return self._refuse(node, "unsupported", "the language has no `is`", "==")
            parts.append(Compare(nodes[n].column, _COMPARE[type(op)], nodes[n], nodes[n + 1]))
        return parts[0] if len(parts) == 1 else And(self._at(node), tuple(parts))

    def _membership(self, node: ast.Compare, scope: Scope) -> Node:
        if len(node.ops) > 1:
            return self._refuse(node, "unsupported", "`in` stands alone: join comparisons with `and`")
        item, options = self.read(node.left, scope), node.comparators[0]
        if not isinstance(options, ast.Tuple | ast.List):
            message = (
                "after `in` stand values in brackets, as in `in (1, 2)`; for a list there is `contains(list, value)`"
            )
            single = options.value if isinstance(options, ast.Constant) else None
            suggestion = f"({show_value(single)},)" if isinstance(single, str | int | float) else ""
            return self._refuse(options, "unsupported", message, suggestion)
        values: list[str | int | float | bool | None] = []
        for option in options.elts:
            value = self.read(option, scope)
            if isinstance(value, Literal_):
                values.append(value.value)
            else:
                self._refuse(option, "unsupported", "a choice of values holds plain values only")
        if not options.elts:
            return self._refuse(options, "value", "a choice of no values is never met")
        found = In(self._at(node), item, tuple(values))
        return Not(self._at(node), found) if isinstance(node.ops[0], ast.NotIn) else found

    # --- functions --------------------------------------------------------------------------------------------
    def _call(self, node: ast.Call, scope: Scope) -> Node:
        if not isinstance(node.func, ast.Name):
            return self._refuse_method(node)
        name = node.func.id
        if any(isinstance(argument, ast.Starred) for argument in node.args) or any(
            k.arg is None for k in node.keywords
        ):
            return self._refuse(node, "unsupported", "arguments are written out: there is no `*`")
        names = [keyword.arg for keyword in node.keywords]
        for n, keyword in enumerate(node.keywords):
            if keyword.arg in names[:n]:
                return self._refuse(keyword, "arguments", f"`{keyword.arg}=` stands here twice")
        if name in BEHAVIOUR:
            if scope == "profile":
                return read_behaviour(self, node, name)
            return self._refuse(node, "wrong_scope", f"`{name}` goes over many events; {_OF_PROFILE[scope]}")
        if name in STEPS:
            message = f"`{name}` stands in a sequence"
            return self._refuse(node, "wrong_scope", message, f'sequence("Product Viewed", {name}("Order Completed"))')
        if node.keywords and name in CALLABLE:
            return self._refuse(node.keywords[0], "arguments", f"`{name}` has no `{names[0]}=`")
        if name in FUNCTIONS:
            return self._function(node, name, scope)
        if name in self._forms:
            return self._forms[name](self, node, scope)
        known = CALLABLE if scope == "profile" else (*FUNCTIONS, *QUANTIFIERS, "between", "case")
        return self._refuse(node.func, "unknown_name", f"there is no function `{name}`", nearest(name, known))

    def _refuse_method(self, node: ast.Call) -> Node:
        name = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        suggestion = f"{name}(…)" if name in CALLABLE else nearest(name, CALLABLE) and f"{nearest(name, CALLABLE)}(…)"
        return self._refuse(
            node, "unsupported", "values have no methods: functions stand before their brackets", suggestion
        )

    def _function(self, node: ast.Call, name: str, scope: Scope) -> Node:
        function = FUNCTIONS[name]
        if not function.takes(len(node.args)):
            return self._refuse(node, "arguments", f"`{name}` takes {function.says_how_many()}, not {len(node.args)}")
        if function.moves and scope != "profile":
            return self._does_not_move(node)
        return Call(self._at(node), name, tuple(self.read(argument, scope) for argument in node.args))

    def _does_not_move(self, node: ast.Call) -> Node:
        message = "an event does not change with time: the window of an aggregate is `within=`"
        return self._refuse(node, "wrong_scope", message, 'within="30d"')

    def _now(self, node: ast.Call, scope: Scope) -> Node:
        if scope != "profile":
            return self._does_not_move(node)
        return self._refuse(node, "arguments", "`now()` takes nothing") if node.args else Now(self._at(node))

    def _distant(self, node: ast.Call, scope: Scope, sign: int, name: str) -> Node:
        if scope != "profile":
            return self._does_not_move(node)
        if len(node.args) != 1:
            return self._refuse(node, "arguments", f"`{name}` takes one duration", f'{name}("30d")')
        ms = self._duration(node.args[0])
        return Literal_(self._at(node), None) if ms is None else Now(self._at(node), sign * ms)

    def _ago(self, node: ast.Call, scope: Scope) -> Node:
        return self._distant(node, scope, 1, "ago")

    def _from_now(self, node: ast.Call, scope: Scope) -> Node:
        return self._distant(node, scope, -1, "from_now")

    # --- conditions and choices -------------------------------------------------------------------------------
    def _between(self, node: ast.Call, scope: Scope) -> Node:
        """`between(x, a, b)` is `a <= x <= b`."""
        if len(node.args) != 3:
            example = "between(x, 1, 5)"
            return self._refuse(node, "arguments", "`between` takes a value, the least and the greatest", example)
        if _compares(node.args[0]):
            return self._refuse(node.args[0], "unsupported", "comparisons inside `between`: make a trait of it")
        column = self._at(node)
        item, low, high = (self.read(argument, scope) for argument in node.args)
        return And(column, (Compare(item.column, ">=", item, low), Compare(item.column, "<=", item, high)))

    def _case(self, node: ast.Call, scope: Scope) -> Node:
        if len(node.args) < 2:
            example = 'case(x > 3, "many", "few")'
            return self._refuse(node, "arguments", "`case` takes conditions, each with its value, and a last", example)
        *pairs, last = (self.read(argument, scope) for argument in node.args)
        if len(pairs) % 2:
            return Case(self._at(node), tuple(pairs[::2]), (*pairs[1::2], last), None)
        return Case(self._at(node), tuple(pairs[::2]), tuple(pairs[1::2]), last)

    def _branch(self, node: ast.IfExp, scope: Scope) -> Node:
        """`a if c else b` is `case(c, a, b)`."""
        condition, value, otherwise = (self.read(each, scope) for each in (node.test, node.body, node.orelse))
        return Case(self._at(node), (condition,), (value,), otherwise)

    def _quantified(self, node: ast.Call, scope: Scope) -> Node:
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        if len(node.args) != 2:
            example = f"{name}(properties.products, price > 100)"
            return self._refuse(node, "arguments", f"`{name}` takes a list and a condition on its items", example)
        items = self.read(node.args[0], scope)
        return Quantified(self._at(node), name, items, self.read(node.args[1], "item"))

    def _in_audience(self, node: ast.Call, scope: Scope) -> Node:
        if scope != "profile":
            return self._refuse(node, "wrong_scope", f"an audience is of people: {_OF_PROFILE[scope]}")
        name = self._quoted(node, 'in_audience("vip")', "`in_audience` takes the name of an audience in quotes")
        return Literal_(self._at(node), None) if name is None else InAudience(self._at(node), name)

    def _consent(self, node: ast.Call, scope: Scope) -> Node:
        """What the latest event that says anything of the purpose says of it; an aggregate like any other."""
        if scope != "profile":
            return self._refuse(node, "wrong_scope", f"consent is a person's: {_OF_PROFILE[scope]}")
        purpose = self._quoted(node, 'consent("marketing")', "`consent` takes the name of a purpose in quotes")
        column = self._at(node)
        if purpose is None:
            return Literal_(column, None)
        said = Aggregate(column, "last", "*", Field(column, (*_CONSENT, purpose)))
        return Compare(column, "==", said, Literal_(column, True))

    def _share(self, node: ast.Call, scope: Scope) -> Node:
        if scope != "profile":
            return self._refuse(node, "wrong_scope", f"a share is of people: {_OF_PROFILE[scope]}")
        values = [each.value if isinstance(each, ast.Constant) else None for each in node.args]
        match values:
            case [str(salt), int() | float() as percent] if salt and not isinstance(percent, bool):
                if not 0 <= percent <= 100:
                    return self._refuse(node.args[1], "value", "a share is 0 to 100 percent")
                return Share(self._at(node), salt, percent)
        message = "`random_share` takes a text of your own in quotes, and a percentage; both written out"
        return self._refuse(node, "arguments", message, 'random_share("spring test", 10)')

    def _quoted(self, node: ast.Call, example: str, message: str) -> str | None:
        first = node.args[0] if len(node.args) == 1 else None
        if isinstance(first, ast.Constant) and isinstance(first.value, str) and first.value:
            return first.value
        self._refuse(node, "arguments", message, example)
        return None

    _forms: ClassVar[dict[str, Callable[[Any, ast.Call, Scope], Node]]] = {
        "now": _now, "ago": _ago, "from_now": _from_now, "between": _between, "case": _case, "consent": _consent,
        "in_audience": _in_audience, "random_share": _share, **dict.fromkeys(QUANTIFIERS, _quantified),
    }  # fmt: skip

    def _duration(self, node: ast.expr) -> int | None:
        if not (isinstance(node, ast.Constant) and isinstance(node.value, str)):
            self._refuse(node, "duration", "a duration is a text in quotes", '"30d"')
            return None
        ms = parse_duration(node.value)
        if ms is None:
            self._refuse(node, "duration", *why_not(node.value))
        return ms

    refuse, column, duration = _refuse, _at, _duration
    """What `parse_behaviour` is told of."""

    _readers: ClassVar[dict[type[ast.expr], Callable[[Any, Any, Scope], Node]]] = {
        ast.Constant: _constant,
        ast.Name: _name,
        ast.Attribute: _dotted,
        ast.Subscript: _dotted,
        ast.BoolOp: _both,
        ast.UnaryOp: _unary,
        ast.BinOp: _binary,
        ast.Compare: _compare,
        ast.Call: _call,
        ast.IfExp: _branch,
    }


_NOT_OURS: dict[type[ast.expr], str] = {
    ast.Tuple: "several values stand only after `in`",
    ast.List: "several values stand only after `in`",
    ast.Starred: "arguments are written out: there is no `*`",
    ast.Lambda: "there are no functions of your own",
    ast.JoinedStr: "strings have no prefix",
    ast.GeneratorExp: "there are no loops: aggregates go over the events",
}


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant | ast.Call)


def _compares(node: ast.expr) -> bool:
    """Whether a part that is to be compared twice holds comparisons itself: then trees could double, and double."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in BEHAVIOUR:
        return False
    parts = list(ast.walk(node))
    if any(isinstance(part, ast.Compare) for part in parts):
        return True
    names = {part.func.id for part in parts if isinstance(part, ast.Call) and isinstance(part.func, ast.Name)}
    return "between" in names
