"""Compiled definitions by version, from the catalog or from the log's own entries."""

from collections.abc import Callable
from functools import lru_cache

import msgspec

from onefold.errors import DefinitionError
from onefold.language.stream.compile import compile_definitions, kept_by, kept_by_accounts
from onefold.language.stream.program import Program
from onefold.model.definitions import Definitions
from onefold.model.entry import Defined
from onefold.runtime.defining.versions import both

_KEPT = 8


class Programs:
    """Compiles each version once. `find` gives definitions that this process has not seen in the log."""

    def __init__(self, find: Callable[[int], Definitions]) -> None:
        self._find = find
        self._programs: dict[int, Program] = {}

    def get(self, version: int) -> Program:
        """The program of a version; 0 defines nothing. Raises `DefinitionError` where checks have become stricter."""
        program = self._programs.get(version)
        if program is None:
            definitions = Definitions() if version == 0 else self._find(version)
            program = self._compile(definitions, version)
        return program

    def learn(self, entry: Defined) -> None:
        """Definitions that came in the log."""
        if entry.version not in self._programs:
            self._compile(msgspec.convert(entry.definitions, Definitions), entry.version)

    def _compile(self, definitions: Definitions, version: int) -> Program:
        program = _compiled(definitions, version)
        self._programs[version] = program
        while len(self._programs) > _KEPT:
            del self._programs[min(self._programs)]
        return program


@lru_cache(maxsize=_KEPT)
def _compiled(definitions: Definitions, version: int) -> Program:
    """Once for all who ask in this process: a program, once made, is never changed."""
    whole = both(definitions)
    if whole.problems:
        raise DefinitionError([f"definitions {version}: {problem.show()}" for problem in whole.problems])
    coming = None if definitions.coming is None else both(definitions.coming)
    gathered = {} if coming is None else kept_by(coming)
    of_accounts = None if coming is None else kept_by_accounts(coming)
    program = compile_definitions(whole, version, gathered, of_accounts=of_accounts)
    program.quiet = frozenset(definitions.quiet)
    return program
