"""Writes the generated pages of the reference: settings, commands, errors. `make docs` runs it; a test compares."""

import ast
import inspect
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

from msgspec import Struct, structs
from typer.main import get_command

from onefold import errors, settings
from onefold.cli import exits
from onefold.cli.app import build
from onefold.errors import OnefoldError
from onefold.settings import Settings
from onefold.testing.identity_stories import pictures

DOCS = Path(__file__).parent
_MADE = "<!-- made by docs/generate.py: change the code, then `make docs` -->\n"


def pages() -> dict[str, str]:
    """Every generated page by its file name."""
    texts = {"settings.md": settings_page(), "cli.md": cli_page(), "errors.md": errors_page()}
    return texts | {f"images/identity-{name}.svg": picture for name, picture in pictures().items()}


def settings_page() -> str:
    """All settings with their defaults, from the class `Settings`."""
    lines = [
        _MADE,
        "# Settings\n",
        "A setting is taken from, the later the stronger: its default; `onefold.toml` in the current directory, then",
        "in the data directory; the environment variable `ONEFOLD_` and its name; the flag of a command. An unknown",
        "name or a wrong type is refused with exit code 2.\n",
        '```toml\n# onefold.toml\nport = 8090\nworkers = 2\nphone_region = "DE"\n```\n',
        "One thing is asked of the environment alone: `ONEFOLD_KERNEL=off` leaves the native kernel out where it is",
        "installed (`pip install 'onefold[kernel]'`), and Python does its work, with the same results, byte for byte.",
        "`onefold --version` and `onefold doctor` say whether it is used.\n",
        *_settings_of(Settings),
    ]
    for name, kind in settings.SECTIONS.items():
        variables = f"ONEFOLD_{name.upper()}_{kind.__struct_fields__[0].upper()}"
        lines += [
            f"\n## `{name}`\n",
            f"{_cell(kind.__doc__ or '')} A table `[{name}]` in a file; as variables each",
            f"has the section's name before its own, such as `{variables}`.\n",
            *_settings_of(kind),
        ]
    return "\n".join(lines) + "\n"


def _settings_of(kind: type[Struct]) -> list[str]:
    lines = ["| setting | default | meaning |", "| --- | --- | --- |"]
    notes = _notes(kind)
    for name, default in structs.asdict(kind()).items():
        lines.append(f"| `{name}` | {_default(default)} | {_cell(notes.get(name, _from_name(name)))} |")
    return lines


def cli_page() -> str:
    """All commands with their options, from the command itself."""
    lines = [
        _MADE,
        "# The `onefold` command\n",
        "`--json` prints JSON on stdout instead of text for people; `--verbose`, anywhere, shows the traceback of an",
        "error. Commands that read a data directory work beside a running platform and without one.\n",
        "| exit code | meaning |",
        "| --- | --- |",
        *(f"| {code} | {meaning} |" for code, meaning in exits.MEANINGS.items()),
        "",
    ]
    top: Any = get_command(build())
    for name, command in top.commands.items():
        lines += _command(f"onefold {name}", command)
    return "\n".join(lines).rstrip() + "\n"


def errors_page() -> str:
    """All errors with their codes, from the tree in `errors.py`."""
    lines = [
        _MADE,
        "# Errors\n",
        'The API answers an error with `{"code": …, "message": …}`; codes are stable, messages are for people.',
        "*fault*: who can mend it. *retry*: whether the same call may succeed later.\n",
        "| code | fault | retry | meaning |",
        "| --- | --- | --- | --- |",
    ]
    for kind in vars(errors).values():
        if inspect.isclass(kind) and issubclass(kind, OnefoldError):
            meaning = _cell((kind.__doc__ or "").strip())
            lines.append(f"| `{kind.code}` | {kind.fault} | {'yes' if kind.retry else 'no'} | {meaning} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Write all pages."""
    for name, text in pages().items():
        (DOCS / name).write_text(text)
        sys.stdout.write(f"docs/{name}\n")


def _notes(kind: type) -> dict[str, str]:
    """The string that follows each field in the source of a class."""
    tree = ast.parse(inspect.getsource(settings)).body
    body = next(node.body for node in tree if isinstance(node, ast.ClassDef) and node.name == kind.__name__)
    found = {}
    for field, note in pairwise(body):
        if isinstance(field, ast.AnnAssign) and isinstance(note, ast.Expr) and isinstance(note.value, ast.Constant):
            found[ast.unparse(field.target)] = str(note.value.value)
    return found


def _from_name(name: str) -> str:
    return name.replace("_", " ").capitalize() + "."


def _default(value: Any) -> str:
    if isinstance(value, tuple):
        return " ".join(f'`"{one}"`' for one in value)
    if isinstance(value, Struct):
        return "a section"
    return "empty" if value in ("", {}) else f"`{value}`"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def _command(path: str, command: Any) -> list[str]:
    if subcommands := getattr(command, "commands", None):
        return [line for name, sub in subcommands.items() for line in _command(f"{path} {name}", sub)]
    arguments = [param for param in command.params if param.param_type_name == "argument"]
    options = [param for param in command.params if param.param_type_name == "option" and param.name != "help"]
    usage = " ".join([path, *(_argument(param) for param in arguments), *(["[OPTIONS]"] if options else [])])
    text, _, examples = inspect.cleandoc(command.help or "").partition("Examples:")
    lines = [f"## {path}\n", f"```\n{usage}\n```\n", text.strip() + "\n"]
    if documented := [param for param in (*arguments, *options) if getattr(param, "help", None)]:
        lines += ["| | |", "| --- | --- |"]
        lines += [f"| {_names(param)} | {_cell(param.help)} |" for param in documented]
        lines.append("")
    if shown := [line.strip() for line in examples.splitlines() if line.strip()]:
        lines += ["```bash", *shown, "```\n"]
    return lines


def _argument(param: Any) -> str:
    name = (param.metavar or param.name).strip("[]").upper()
    return name if param.required else f"[{name}]"


def _names(param: Any) -> str:
    if param.param_type_name == "argument":
        return f"`{(param.metavar or param.name).strip('[]').upper()}`"
    return ", ".join(f"`{name}`" for name in (*param.opts, *param.secondary_opts))


if __name__ == "__main__":
    main()
