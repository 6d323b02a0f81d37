"""Definitions that come as data, such as over HTTP, read as if they stood in a file of a workspace.

So whatever is checked there is checked here, with the same words. In the place of file and line stands what is wrong,
such as `audiences.buyers.expression`, and columns count in its value.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator

from msgspec import structs

from onefold.language.problem import Code
from onefold.limits import DEFINITIONS_PROBLEMS_MAX
from onefold.model.definitions import Audience, Definitions, Destination, Source, Trait
from onefold.model.identity import NOTHING, IdentifierType, Identity, TraitRule
from onefold.runtime.defining.workspace import (
    ACCOUNTS,
    IDENTITY,
    PRIVATE_HOSTS,
    SECTIONS,
    TIMEZONE,
    File,
    FileProblem,
    Reader,
    WorkspaceError,
)
from onefold.runtime.defining.yaml_tree import Items, Pairs, Text, Tree

Given = Source | Trait | Audience | Destination
_OF_ACCOUNTS = f"{ACCOUNTS}.traits"


def accepted(given: Definitions, *, old: Definitions | None = None) -> Definitions:
    """The content of these definitions, as it would be read from files. Raises `WorkspaceError` with what is wrong.

    `old`: they are these with a change. What the change does not touch may keep a name that is a word of the language
    by now. Cost: linear in the definitions.
    """
    texts = _Texts()
    tree = texts.tree(given)
    reader = Reader()
    reader.sections((texts.file(), tree))
    definitions = reader.definitions()
    reader.check(definitions)
    kept = set() if old is None else _same(old, given)
    found = [*_twice(given), *(one for one in reader.found if not (one.code == "reserved" and one.file in kept))]
    if found:
        raise WorkspaceError(found[: DEFINITIONS_PROBLEMS_MAX + 1])
    return definitions


def _same(old: Definitions, given: Definitions) -> set[str]:
    """Where the traits and audiences stand that both have."""
    pairs: tuple[tuple[str, Iterable[Given], Iterable[Given]], ...] = (
        ("traits", old.traits, given.traits), ("audiences", old.audiences, given.audiences),
    )  # fmt: skip
    return {f"{section}.{one.name}" for section, before, after in pairs for one in {*before} & {*after}}


def _twice(given: Definitions) -> Iterator[FileProblem]:
    """A name that two definitions of a section have: in a file the second would stand on a line of its own."""
    sections: dict[str, Iterable[Given]] = {section: getattr(given, section) for section in SECTIONS}
    for section, ones in (sections | {_OF_ACCOUNTS: given.account_traits}).items():
        named = Counter(one.name for one in ones)
        for name in (name for name, times in named.items() if times > 1):
            yield File(f"{section}.{name}", name).problem("duplicate", f"`{name}` stands here twice", 0, len(name))


def _values(exact: tuple[str, ...], patterns: tuple[str, ...]) -> tuple[str, ...]:
    """Values that identify nobody, as files list them."""
    return (*exact, *(f"/{each}/" for each in patterns))


class _Texts:
    """Every value of the definitions, one after the other in one text, and what each of them is."""

    def __init__(self) -> None:
        self._values: list[str] = []
        self._paths: list[str] = []
        self._starts: list[int] = []
        self._size = 0

    def file(self) -> File:
        """What the reader takes for a file."""
        return _Whole("\n".join(self._values), self._starts, self._paths)

    def tree(self, given: Definitions) -> Pairs:
        """All of it."""
        sections: list[tuple[Tree, Tree]] = [
            (self._text(section, section), self._section(section, getattr(given, section))) for section in SECTIONS
        ]
        sections.append((self._text(TIMEZONE, TIMEZONE), self._value(TIMEZONE, given.timezone)))
        hosts = self._value(PRIVATE_HOSTS, given.allow_private_hosts)
        sections.append((self._text(PRIVATE_HOSTS, PRIVATE_HOSTS), hosts))
        if given.account_traits:
            traits = self._section(_OF_ACCOUNTS, given.account_traits)
            sections.append((self._text(ACCOUNTS, ACCOUNTS), self._pairs(ACCOUNTS, [("traits", traits)])))
        if given.identity != NOTHING:
            sections.append((self._text(IDENTITY, IDENTITY), self._identity(given.identity)))
        return Pairs(sections, 0, 0)

    def _identity(self, rules: Identity) -> Pairs:
        types = [(one.name, self._type(f"{IDENTITY}.types.{one.name}", one)) for one in rules.types]
        traits = [(one.name, self._trait(f"{IDENTITY}.traits.{one.name}", one)) for one in rules.traits]
        said: list[tuple[str, object]] = [
            ("policy", rules.policy), ("blocked", _values(rules.blocked, rules.patterns)), ("shipped", False),
            ("hot", rules.hot or "never"), ("types", self._pairs(f"{IDENTITY}.types", types)),
            ("traits", self._pairs(f"{IDENTITY}.traits", traits)),
        ]  # fmt: skip
        matching = [(name, value) for name in ("link", "review") if (value := getattr(rules.matching, name))]
        if matching:
            said.append(("matching", self._pairs(f"{IDENTITY}.matching", matching)))
        return self._pairs(IDENTITY, said)

    def _type(self, path: str, one: IdentifierType) -> Pairs:
        said: list[tuple[str, object]] = [
            ("from", one.fields), ("normalise", one.normalise), ("blocked", _values(one.blocked, one.patterns)),
            ("limit", None if one.limit is None else f"{one.limit} {one.per}"), ("unique", one.unique),
            ("login", one.login), ("soft", one.soft or None), ("unless", one.unless),
        ]  # fmt: skip
        return self._pairs(path, [(name, value) for name, value in said if value not in (None, "", ())])

    def _trait(self, path: str, one: TraitRule) -> Pairs:
        said: list[tuple[str, object]] = [("keep", one.keep)]
        return self._pairs(path, [*said, ("sources", one.sources)] if one.sources else said)

    def _pairs(self, path: str, said: Iterable[tuple[str, object]]) -> Pairs:
        return Pairs([
            (self._text(path, name), value if isinstance(value, Pairs) else self._value(f"{path}.{name}", value))
            for name, value in said
        ], 0, 0)  # fmt: skip

    def _section(self, section: str, definitions: Iterable[Given]) -> Pairs:
        named = {one.name: one for one in definitions}
        pairs = [(self._text(f"{section}.{name}", name), self._fields(section, one)) for name, one in named.items()]
        return Pairs([*pairs], 0, 0)

    def _fields(self, section: str, one: Given) -> Pairs:
        """What is as it would be without being said is not said: a destination that names nothing gets nothing."""
        path = f"{section}.{one.name}"
        said = [
            (field.name, getattr(one, field.name))
            for field in structs.fields(one)
            if field.name == "expression" or (field.name != "name" and getattr(one, field.name) != field.default)
        ]
        return self._pairs(path, said)

    def _value(self, path: str, value: object) -> Tree:
        if isinstance(value, tuple):
            return Items([self._text(f"{path}[{n}]", str(each)) for n, each in enumerate(value)], 0, 0)
        return self._text(path, str(value).lower() if isinstance(value, bool) else str(value))

    def _text(self, path: str, value: str) -> Text:
        start = self._size
        self._values.append(value)
        self._paths.append(path)
        self._starts.append(start)
        self._size += len(value) + 1
        return Text(value, start, start + len(value), "")


class _Whole(File):
    """All values as one text; a mistake is told by what the value at its place is."""

    def __init__(self, text: str, starts: list[int], paths: list[str]) -> None:
        super().__init__("", text)
        self._starts_of_values, self._paths = starts, paths

    def problem(self, code: Code, message: str, offset: int, length: int = 1, suggestion: str = "") -> FileProblem:
        """As a file's, with the value in the place of the file."""
        at = max(0, bisect_right(self._starts_of_values, offset) - 1)
        start = self._starts_of_values[at]
        end = self._starts_of_values[at + 1] - 1 if at + 1 < len(self._starts_of_values) else len(self.text)
        value = File(self._paths[at], self.text[start:end])
        return value.problem(code, message, offset - start, length, suggestion)
