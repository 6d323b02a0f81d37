"""Parts of an expression that SQL cannot say: the stream's own Python of them, as functions of the values around them.

A part is taken as far down as only Python can say it. What stands below is SQL again, and given to the function. Equal
values come again and again, so that a function remembers what it has said of the latest.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec
import xxhash

from onefold.language import nodes as n
from onefold.language.functions import FUNCTIONS, is_instant
from onefold.language.sql.calls import is_native
from onefold.language.sql.columns import SQL_TYPES, Kind
from onefold.language.sql.functions import SqlFunction
from onefold.language.stream.inputs import tells_time, walk
from onefold.language.stream.source import CALLED, Scope, Surroundings
from onefold.language.values import storable
from onefold.limits import SQL_REMEMBERED_MAX

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode
_JSON: tuple[Kind, ...] = ("json", "list")
_RESULTS: dict[str, Kind] = {"boolean": "boolean", "string": "string", "list": "list", "instant": "instant"}
_EXACT = ("abs", "least", "greatest")
"""Functions that may give back a whole number of any size, as it came."""


class _Anybody:
    """Whom values that move with time would wake."""

    due_ms = 0


class Named(NamedTuple):
    """A function for SQL."""

    name: str
    """Another one for whatever means something else."""
    function: SqlFunction
    blank: Any
    """Its value where all that it is given is missing, if that is always the same; None: missing."""


class Piece:
    """A part of an expression as a function."""

    def __init__(self, node: n.Node, types: Mapping[str, n.Type], timezone: str) -> None:
        scope = _Given(Surroundings(types, timezone), node)
        self._source = scope.boolean(node) if _is_boolean(node) else scope.value(node)
        self._constants = scope.among.constants
        self._text = f"{n.canonical(node)};{timezone}"
        self.parts: Sequence[n.Node] = list(scope.given.values())
        """The parts whose values it is given, in this order."""
        self.timed = any(tells_time(part) for part in walk(node))
        """After them it is given the instant that is asked about."""
        self.kind: Kind = _kind(node, types)
        """Of its value."""

    def function(self, kinds: Sequence[Kind]) -> Named:
        """The function for parts of these kinds."""
        names = [f"x{number}" for number in range(len(kinds))]
        lines = [
            f"{x} = None if {x} is None else decode({x})" for x, kind in zip(names, kinds, strict=True) if kind in _JSON
        ]
        parameters = [*names, *["now"] * self.timed]
        call = _made(
            parameters, [*lines, f"return shown({self._source})"], self._constants | {"shown": _shown(self.kind)}
        )
        text = f"{self._text};{','.join(kinds)}"
        types = [*(SQL_TYPES[kind] for kind in kinds), *["BIGINT"] * self.timed]
        blank = None if self.timed or "boolean" in kinds else call(*[None] * len(kinds))
        name = f"onefold_python_{xxhash.xxh3_128_hexdigest(text.encode())}"
        return Named(name, SqlFunction(call, tuple(types), SQL_TYPES[self.kind], missing=True), blank)


class _Given(Scope):
    """Names are parameters, for whatever SQL says."""

    def __init__(self, among: Surroundings, top: n.Node) -> None:
        super().__init__(among)
        self._top = top
        self.given: dict[str, n.Node] = {}
        """Canonical text → node, in the order of the parameters."""

    def value(self, node: n.Node) -> str:
        """Source of any value, None for missing."""
        return self._parameter(node) if self._is_given(node) else super().value(node)

    def boolean(self, node: n.Node) -> str:
        """Source of a real boolean."""
        return f"({self._parameter(node)} is True)" if self._is_given(node) else super().boolean(node)

    def leaf(self, node: Any) -> str:
        """Source of an instant that moves with time: everything else is given."""
        assert isinstance(node, n.Now), node
        return f"(now - {node.ago_ms})"

    def _is_given(self, node: n.Node) -> bool:
        if self._items or node is self._top or isinstance(node, n.Literal_ | n.Now | n.Quantified):
            return False
        return not isinstance(node, n.Call) or is_native(node)

    def _parameter(self, node: n.Node) -> str:
        text = n.canonical(node)
        self.given.setdefault(text, node)
        return f"x{list(self.given).index(text)}"


def _made(parameters: Sequence[str], lines: Sequence[str], constants: Mapping[str, Any]) -> Callable[..., Any]:
    body = "".join(f"    {line}\n" for line in lines)
    code = f"def piece({', '.join(parameters)}):\n{body}"
    names: dict[str, Any] = {**CALLED, **constants, "p": _Anybody(), "decode": _decode}
    exec(compile(code, "<piece>", "exec"), names)  # noqa: S102 (our own generated source)
    return lru_cache(maxsize=SQL_REMEMBERED_MAX)(names["piece"])


def _is_boolean(node: n.Node) -> bool:
    return isinstance(node, n.Quantified) or (isinstance(node, n.Call) and FUNCTIONS[node.function].result == "boolean")


def _kind(node: n.Node, types: Mapping[str, n.Type]) -> Kind:
    if _is_boolean(node):
        return "boolean"
    if is_instant(node, types):
        return "instant"
    assert isinstance(node, n.Call), node
    result = FUNCTIONS[node.function].result
    if result == "number" and node.function not in _EXACT:
        return "number"
    return _RESULTS.get(result, "json")


def _shown(kind: Kind) -> Callable[[Any], Any]:
    """How a value goes to SQL."""
    if kind in _JSON:
        return lambda value: None if value is None else _encode(storable(value)).decode()
    if kind == "number":
        return lambda value: None if value is None else float(value)
    return lambda value: value
