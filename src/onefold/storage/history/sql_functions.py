"""The functions that compiled definitions call in DuckDB, made known to a connection."""

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

from onefold.language.sql.functions import FUNCTIONS, SqlFunction
from onefold.ports import Connection


def register(connection: Connection, functions: Mapping[str, SqlFunction] = FUNCTIONS) -> None:
    """Make functions known: those of `language.sql.functions`, and for a plan that has some its own."""
    duckdb: Any = connection
    for name, function in functions.items():
        call = function.call if function.missing else _total(function.call)
        duckdb.create_function(name, call, list(function.parameters), function.result, null_handling="special")


def _total(call: Callable[..., Any]) -> Callable[..., Any]:
    """Of anything missing: missing."""

    @wraps(call)  # DuckDB looks how many parameters there are
    def total(*args: Any) -> Any:
        return None if any(arg is None for arg in args) else call(*args)

    return total
