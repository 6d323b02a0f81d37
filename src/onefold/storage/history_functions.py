"""The functions that compiled definitions call in DuckDB, made known to a connection."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from onefold.language.sql_functions import FUNCTIONS
from onefold.ports import Connection


def register(connection: Connection) -> None:
    """Make `language.sql_functions` known: what `compile_sql` gives can be run afterwards."""
    duckdb: Any = connection
    for name, function in FUNCTIONS.items():
        duckdb.create_function(
            name, _total(function.call), list(function.parameters), function.result, null_handling="special"
        )


def _total(call: Callable[..., Any]) -> Callable[..., Any]:
    """Of anything missing: missing."""

    @wraps(call)  # DuckDB looks how many parameters there are
    def total(*args: Any) -> Any:
        return None if any(arg is None for arg in args) else call(*args)

    return total
