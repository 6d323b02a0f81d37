"""`onefold query`: SQL over history and over who people are now."""

import csv
import sys
from itertools import islice
from typing import Annotated, Any

import typer

from onefold.cli import opening
from onefold.cli.options import AsJson, Data
from onefold.cli.printing import err, print_json, table
from onefold.runtime.past.query import Answer, Sources, ask


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("query")(query)


def query(
    sql: Annotated[str, typer.Argument(metavar="SQL", help="One SELECT, in DuckDB's SQL.")],
    data: Data = None,
    *,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="Print at most so many rows as a table.")] = 100,
    as_csv: Annotated[bool, typer.Option("--csv", metavar="", help="Print all rows as CSV, with a head.")] = False,
    as_json: AsJson = False,
) -> None:
    """Ask history and the state, read-only: `events`, `merges`, `moves`, `profiles`, `identifiers`, `memberships`.

    docs/history.md lists their columns. With --json every row is a line; --json and --csv print all rows.

    Examples:

        onefold query "SELECT name, count(*) FROM events GROUP BY name ORDER BY 2 DESC"

        onefold query --csv "SELECT source, properties->>'sku' AS sku FROM events WHERE name = 'Product Viewed'"
    """
    with opening.engines(data) as engines:
        sources = Sources(engines.place.history_reader(), engines.state, engines.log.partitions)
        try:
            with ask(sources, sql) as answer:
                _print_json(answer) if as_json else _print_csv(answer) if as_csv else _print_table(answer, limit)
        finally:
            sources.history.close()


def _print_json(answer: Answer) -> None:
    for row in answer.rows:
        print_json(dict(zip(answer.columns, map(_plain, row), strict=True)))


def _print_csv(answer: Answer) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(answer.columns)
    writer.writerows(answer.rows)


def _print_table(answer: Answer, limit: int) -> None:
    rows = list(islice(answer.rows, limit))
    table(answer.columns, rows, empty="no rows")
    if next(answer.rows, None) is not None:
        err.print(f"[dim]the first {limit:,} rows; more with --limit, all with --csv or --json[/]")


def _plain(value: Any) -> Any:
    """What JSON holds: whole numbers past 64 bits as text, bytes as hex."""
    if isinstance(value, int) and not -(1 << 63) <= value < 1 << 64:
        return str(value)
    return value.hex() if isinstance(value, bytes) else value
