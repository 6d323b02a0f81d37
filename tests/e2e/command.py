"""The command in this process: an interpreter takes longer to start than most verbs take to answer."""

import io
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from types import MappingProxyType
from typing import NamedTuple

import pytest

from onefold.cli.app import main


class Answered(NamedTuple):
    """What a command has said, and how it ended."""

    code: int
    said: str
    complained: str


def command(*words: str, given: str = "", environ: Mapping[str, str] = MappingProxyType({})) -> Answered:
    """Run a verb as `python -m onefold` would, with these words, this standard input and more variables than ours."""
    said, complained = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(said), redirect_stderr(complained):
        patch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(given.encode())))
        for name, value in environ.items():
            patch.setenv(name, value)
        with pytest.raises(SystemExit) as ended:
            main(words)
    code = ended.value.code
    assert isinstance(code, int | None)
    return Answered(code or 0, said.getvalue(), complained.getvalue())
