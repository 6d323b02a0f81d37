"""The list of verbs, and what all of them share: errors as one line, and exit codes that scripts can trust."""

import sys
from collections.abc import Iterable, Sequence
from importlib import import_module
from typing import Annotated, NoReturn

import typer

from onefold import __version__, kernel
from onefold.cli import exits
from onefold.cli.printing import err, print_error
from onefold.errors import OnefoldError

VERBS = (
    "serve", "collect", "worker", "deliver", "history", "match", "api", "demo", "check", "preview", "apply", "backfill",
    "versions", "rollback", "shadow", "identity", "events", "profile", "accounts", "why", "audience", "query",
    "quarantine", "deliveries", "replay", "backup", "keys", "sources", "doctor", "bench",
)  # fmt: skip
"""Each is a module beside this one, loaded only when it is wanted: a command should answer at once."""

VERBOSE = "--verbose"


def build(verbs: Iterable[str] = VERBS) -> typer.Typer:
    """The command with these verbs; all of them, as for the help, by default."""
    app = typer.Typer(
        name="onefold",
        help="Onefold, a real-time customer data platform: many channels, one customer.",
        epilog="Exit codes: " + "; ".join(f"**{code}** {meaning}" for code, meaning in exits.MEANINGS.items()) + ".",
        no_args_is_help=True,
        rich_markup_mode="markdown",
        pretty_exceptions_enable=False,
        add_completion=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_root)
    for verb in verbs:
        import_module(f"onefold.cli.{verb}").register(app)
    return app


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit with a code of `exits`."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    verbose = VERBOSE in words
    words = [word for word in words if word != VERBOSE] or ["--help"]
    try:
        wanted = () if words[0] == "--version" else words[:1] if words[0] in VERBS else VERBS
        build(wanted)(words, prog_name="onefold")
    except (OnefoldError, OSError) as error:
        if verbose:
            err.print_exception()
        print_error(error)
        sys.exit(exits.code_of(error))
    sys.exit(exits.OK)


def _show_version(wanted: bool) -> None:  # noqa: FBT001 - the shape that typer calls
    if wanted:
        typer.echo(__version__)
        typer.echo(f"kernel: {kernel.found.standing}")
        raise typer.Exit


def _root(
    *,
    verbose: Annotated[bool, typer.Option(VERBOSE, metavar="", help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool, typer.Option("--version", metavar="", help="Print the version.", is_eager=True, callback=_show_version)
    ] = False,
) -> None:
    """Onefold, a real-time customer data platform: many channels, one customer."""
    assert not verbose  # `main` takes it out of the arguments, wherever it stands
    assert not version
