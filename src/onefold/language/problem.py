"""What is wrong with an expression or a definition, as data: everything a person needs to put it right."""

from typing import Literal

from msgspec import Struct

Code = Literal[
    "syntax", "unsupported", "too_large", "unknown_name", "wrong_scope", "arguments", "duration", "type", "cycle",
    "name", "duplicate", "reserved", "value", "yaml", "unknown_key", "unknown_reference", "file",
]  # fmt: skip
"""Kinds of mistakes; stable, for `--json` and for editors."""

Part = Literal["", "source", "trait", "account_trait", "audience", "destination"]


def shown_part(part: str) -> str:
    """What people call a kind of definition."""
    return part.replace("_", " ")


class Problem(Struct, frozen=True, omit_defaults=True):
    """One mistake. `column` and `length` count characters in the expression (or in the name, where `in_name`)."""

    code: Code
    message: str
    column: int = 0
    length: int = 1
    suggestion: str = ""
    """What to write instead, as it would stand there; empty where nobody can know."""
    part: Part = ""
    name: str = ""
    """Of the definition that the mistake is in; empty while an expression stands alone."""
    in_name: bool = False

    def show(self) -> str:
        """One line for people."""
        place = f"{shown_part(self.part)} {self.name}, " if self.name else ""
        hint = f"; did you mean `{self.suggestion}`?" if self.suggestion else ""
        where = "its name" if self.in_name else f"column {self.column + 1}"
        return f"{place}{where}: {self.message}{hint}"
