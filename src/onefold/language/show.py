"""A tree as text again: parsing the text gives the same tree, columns aside."""

import json
import keyword
import unicodedata
from collections.abc import Iterable

from onefold.language import nodes as n
from onefold.language.durations import show_duration

_OR, _AND, _NOT, _COMPARE, _SUM, _PRODUCT, _SIGN, _ATOM = range(8)
"""How tightly each kind of expression binds, loosest first."""


def show(node: n.Node) -> str:
    """The expression, in one line."""
    return _text(node)[1]


def show_path(path: Iterable[str]) -> str:
    """`properties.price`, or `properties["order id"]` where a name cannot stand behind a dot."""
    first, *rest = path
    return first + "".join(f".{step}" if _is_plain(step) else f"[{show_value(step)}]" for step in rest)


def show_value(value: str | float | bool | None) -> str:  # noqa: FBT001 (a JSON value, not an option)
    """A literal."""
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value)


def _is_plain(step: str) -> bool:
    return step.isidentifier() and not keyword.iskeyword(step) and unicodedata.normalize("NFKC", step) == step


def _inside(node: n.Node, at_least: int) -> str:
    binds, text = _text(node)
    return text if binds >= at_least else f"({text})"


def _text(node: n.Node) -> tuple[int, str]:
    match node:
        case n.Literal_(value=value):
            negative = isinstance(value, int | float) and repr(value).startswith("-")
            return _SIGN if negative else _ATOM, show_value(value)
        case n.Now(ago_ms=ago):
            return _ATOM, f'ago("{show_duration(ago)}")' if ago else "now()"
        case n.Field(path=path):
            return _ATOM, show_path(path)
        case n.Declared(path=path):
            return _ATOM, show_path(("traits", *path))
        case n.TraitRef(name=name) | n.Builtin(name=name):
            return _ATOM, name
        case n.And(parts=parts):
            return _AND, " and ".join(_inside(part, _NOT) for part in parts)
        case n.Or(parts=parts):
            return _OR, " or ".join(_inside(part, _AND) for part in parts)
        case n.Not(part=n.In(item=item, options=options)):
            return _COMPARE, f"{_inside(item, _SUM)} not in {_options(options)}"
        case n.Not(part=part):
            return _NOT, f"not {_inside(part, _NOT)}"
        case n.Compare(op=op, left=left, right=right):
            return _COMPARE, f"{_inside(left, _SUM)} {op} {_inside(right, _SUM)}"
        case n.In(item=item, options=options):
            return _COMPARE, f"{_inside(item, _SUM)} in {_options(options)}"
        case n.Arithmetic(op=op, left=left, right=right):
            binds = _SUM if op in "+-" else _PRODUCT
            return binds, f"{_inside(left, binds)} {op} {_inside(right, binds + 1)}"
        case n.Negate(part=part):
            return _SIGN, f"-{_inside(part, _SIGN)}"
        case n.Call(function=function, args=args):
            return _ATOM, f"{function}({', '.join(map(show, args))})"
        case n.Aggregate():
            return _ATOM, _aggregate(node)
    raise AssertionError(node)


def _options(options: tuple[str | int | float | bool | None, ...]) -> str:
    return f"({', '.join(map(show_value, options))}{',' if len(options) == 1 else ''})"


def _aggregate(node: n.Aggregate) -> str:
    parts = [show_value(node.event)]
    if node.field is not None:
        parts.append(show(node.field))
    if node.where is not None:
        parts.append(f"where={show(node.where)}")
    if node.within_ms is not None:
        parts.append(f'within="{show_duration(node.within_ms)}"')
    return f"{node.function}({', '.join(parts)})"
