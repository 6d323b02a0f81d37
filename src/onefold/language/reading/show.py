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


def show_path(path: Iterable[str | int]) -> str:
    """`properties.price`, or `properties["order id"]` where a name cannot stand behind a dot."""
    first, *rest = path
    return str(first) + "".join(f".{step}" if _is_plain(step) else f"[{show_value(step)}]" for step in rest)


def show_value(value: str | float | bool | None) -> str:  # noqa: FBT001 (a JSON value, not an option)
    """A literal."""
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value)


def _is_plain(step: str | int) -> bool:
    if not isinstance(step, str):
        return False
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
            return _ATOM, f'{"ago" if ago > 0 else "from_now"}("{show_duration(abs(ago))}")' if ago else "now()"
        case n.Field(path=path):
            return _ATOM, show_path(path)
        case n.Declared(path=path):
            return _ATOM, show_path(("traits", *path))
        case n.OfAccount(path=path):
            return _ATOM, show_path(("account", *path))
        case n.Item(path=path):
            return _ATOM, _item(path)
        case n.Case(conditions=conditions, values=values, otherwise=otherwise):
            parts = [show(each) for pair in zip(conditions, values, strict=True) for each in pair]
            return _ATOM, f"case({', '.join(parts if otherwise is None else [*parts, show(otherwise)])})"
        case n.Quantified(quantifier=quantifier, items=items, condition=condition):
            return _ATOM, f"{quantifier}({show(items)}, {show(condition)})"
        case n.InAudience(name=name):
            return _ATOM, f"in_audience({show_value(name)})"
        case n.Share(salt=salt, percent=percent):
            return _ATOM, f"random_share({show_value(salt)}, {show_value(percent)})"
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
        case n.Sequence():
            return _ATOM, _sequence(node)
    raise AssertionError(node)


def _item(path: n.Path) -> str:
    """A field by its name alone, where that can stand so."""
    plain = bool(path) and _is_plain(path[0]) and str(path[0]).lower() not in _WORDS
    return show_path(path if plain else ("item", *path))


_WORDS = ("true", "false", "and", "or", "not", "in", "if", "else", "item")
"""Names that mean something else even among an item's fields."""


def _options(options: tuple[str | int | float | bool | None, ...]) -> str:
    return f"({', '.join(map(show_value, options))}{',' if len(options) == 1 else ''})"


def _aggregate(node: n.Aggregate) -> str:
    parts = [show_value(node.event)]
    if node.field is not None:
        parts.append(show(node.field))
    if node.number is not None:
        parts.append(repr(node.number))
    parts += _keywords(where=node.where)
    if (window := _window(node)) is not None:
        parts.append(f"within={window}")
    every = "unit" if node.function == "time_since" else "gap"
    parts += _keywords(**{every: node.every_ms}, per=node.per, timezone=node.timezone)
    return f"{node.function}({', '.join(parts)})"


def _window(node: n.Aggregate) -> str | None:
    if node.calendar is not None:
        return f'"{node.calendar}"'
    if node.within_ms is None:
        return None
    within = f'"{show_duration(node.within_ms)}"'
    return within if node.until_ms is None else f'between({within}, "{show_duration(node.until_ms)}")'


def _sequence(node: n.Sequence) -> str:
    parts = [_step(step) for step in node.steps]
    parts += _keywords(same=node.same, within=node.within_ms, during=node.during_ms)
    return f"{'sequence_count' if node.counted else 'sequence'}({', '.join(parts)})"


def _step(step: n.Step) -> str:
    parts = [show_value(step.event), *_keywords(where=step.where, within=step.within_ms)]
    if len(parts) == 1 and not step.negated:
        return parts[0]
    return f"{'without' if step.negated else 'step'}({', '.join(parts)})"


def _keywords(**given: n.Node | int | str | None) -> list[str]:
    """Those that are given: expressions, durations, texts."""
    return [f"{name}={_option(value)}" for name, value in given.items() if value is not None]


def _option(value: n.Node | int | str) -> str:
    if isinstance(value, n.Node):
        return show(value)
    return f'"{show_duration(value)}"' if isinstance(value, int) else show_value(value)
