"""A workspace directory of YAML files, read into definitions, or every mistake of all its files at once.

Each mistake is shown where it stands: file, line, column, the line itself with a caret, and what was probably meant.
"""

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias, TypeVar
from urllib.parse import urlsplit

from msgspec import Struct

from onefold import registry
from onefold.errors import DefinitionError
from onefold.language.problem import Code, Part, Problem, shown_part
from onefold.language.reading.check import checked
from onefold.language.suggest import nearest
from onefold.language.zones import ZONES
from onefold.limits import (
    DEFINITION_NAME_MAX_CHARS,
    DEFINITIONS_MAX,
    DEFINITIONS_PROBLEMS_MAX,
    EVENT_NAME_MAX_CHARS,
    EXPRESSION_MAX_CHARS,
    LINE_SHOWN_MAX_CHARS,
    WORKSPACE_FILE_MAX_BYTES,
)
from onefold.model.definitions import Audience, Definitions, Destination, Source, Trait
from onefold.model.host import spelled
from onefold.model.identity import NOTHING, Identity
from onefold.runtime.defining.yaml_tree import Items, Pairs, Text, Tree, Unreadable, offset_in, read_tree
from onefold.runtime.identity.reading import IdentityReader, Reading

SECTIONS: dict[str, Part] = {
    "sources": "source", "traits": "trait", "audiences": "audience", "destinations": "destination",
}  # fmt: skip
ACCOUNTS = "accounts"
"""A part that has sections of its own: the traits of accounts."""
PRIVATE_HOSTS = "allow_private_hosts"
"""A part of a file that defines nothing: hosts of inner addresses that destinations may be sent to."""
TIMEZONE = "timezone"
"""Another: where the workspace's days and hours begin."""
IDENTITY = "identity"
"""Another: which fields identify people, and when identifiers are one person."""
EFFECTS = ("created", "merged", "split", "changed", "link_refused", "moved", "hot", "rejected")
"""Effects besides events and audiences that a destination may ask for."""
_SOURCE_KINDS = ("http",)
_NAME = re.compile(r"[a-z][a-z0-9_-]*")
_HOST = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*|[0-9a-f:]+(%\w+)?")
"""A host as `model.host` spells it: a name, or an address."""
_LINE_SHOWN_CHARS = 160
_TIMEOUT_MAX_S = 300.0
_CONCURRENCY_MAX = 256

_SECTION: dict[Part, str] = {"account_trait": f"{ACCOUNTS}.traits"}
"""Sections that are called otherwise than what they define."""

Definition = TypeVar("Definition", Source, Trait, Audience, Destination)


class FileProblem(Struct, frozen=True, omit_defaults=True):
    """A mistake in a file. `line` and `column` count from 1; `text` is the line."""

    file: str
    line: int
    column: int
    length: int
    code: Code
    message: str
    suggestion: str = ""
    text: str = ""

    def show(self) -> str:
        """For people: the place, what is wrong, the line with a caret, and what was probably meant."""
        place = self.file if self.code == "file" else f"{self.file}:{self.line}:{self.column}"
        lines = [f"{place}: {self.message}"]
        if self.text.strip():
            cut = max(0, self.column - 1 - _LINE_SHOWN_CHARS // 2)
            shown = self.text[cut : cut + _LINE_SHOWN_CHARS].replace("\t", " ")
            width = max(1, min(self.length, len(shown) - (self.column - 1 - cut)))
            lines += [f"    {shown}", f"    {' ' * (self.column - 1 - cut)}{'^' * width}"]
        if self.suggestion:
            lines.append(f"    did you mean `{self.suggestion}`?")
        return "\n".join(lines)


class WorkspaceError(DefinitionError):
    """A workspace has mistakes; `found` has them as data, `problems` as text."""

    def __init__(self, found: list[FileProblem]) -> None:
        super().__init__([problem.show() for problem in found])
        self.found = found


def load_workspace(path: Path) -> Definitions:
    """The definitions of a directory (or of one file). Raises `WorkspaceError` with every mistake."""
    definitions, found = read_workspace(path)
    if found:
        raise WorkspaceError(found)
    return definitions


def read_workspace(path: Path) -> tuple[Definitions, list[FileProblem]]:
    """The definitions of a directory, as far as they could be read, and every mistake, by file and line."""
    reader = _Reader()
    for file, name in _files(path):
        if (content := reader.file(file, name)) is not None:
            reader.sections(content)
    if not reader.files:
        message = "there is no such directory" if not path.exists() else "there is no .yaml or .yml file here"
        return Definitions(), [FileProblem(str(path), 1, 1, 1, "file", message), *reader.found]
    definitions = reader.definitions()
    reader.check(definitions)
    return definitions, sorted(reader.found, key=lambda p: (p.file, p.line, p.column))


def _files(path: Path) -> list[tuple[Path, str]]:
    if path.is_file():
        return [(path, path.name)]
    files = [file for file in path.rglob("*") if file.suffix in (".yaml", ".yml") and file.is_file()]
    visible = [file for file in files if not any(part.startswith(".") for part in file.relative_to(path).parts)]
    return sorted((file, file.relative_to(path).as_posix()) for file in visible)


class _File:
    """A file's text, and where its lines begin."""

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self.text = text
        self._starts = [0, *(match.end() for match in re.finditer("\n", text))]

    def problem(self, code: Code, message: str, offset: int, length: int = 1, suggestion: str = "") -> FileProblem:
        offset = min(offset, len(self.text))
        line = bisect_right(self._starts, offset) - 1
        start = self._starts[line]
        end = self._starts[line + 1] if line + 1 < len(self._starts) else len(self.text)
        text = self.text[start:end].rstrip("\r\n") if end - start <= LINE_SHOWN_MAX_CHARS else ""
        return FileProblem(self.name, line + 1, offset - start + 1, length, code, message, suggestion, text)


class _Place(NamedTuple):
    """Where a definition stands: its name, and its expression if it has one."""

    file: _File
    name: Text
    expression: Text | None = None


class _Reader:
    """Gathers definitions and mistakes over all files."""

    def __init__(self) -> None:
        self.found: list[FileProblem] = []
        self.files = 0
        self.unreadable = False
        self.parts: dict[Part, dict[str, Any]] = {part: {} for part in (*SECTIONS.values(), "account_trait")}
        self.places: dict[tuple[Part, str], _Place] = {}
        self.named: list[tuple[_File, Text]] = []
        """Audiences that destinations name."""
        self.urls: list[tuple[_File, Text]] = []
        """URLs of destinations."""
        self.private_hosts: list[str] = []
        self.timezones: list[tuple[_File, Text]] = []
        self.identities: list[tuple[_File, Text, Identity]] = []

    # --- files ------------------------------------------------------------------------------------------------
    def file(self, path: Path, name: str) -> "tuple[_File, Tree] | None":
        """One file's tree, or None where it is empty or unreadable."""
        self.files += 1
        try:
            if path.stat().st_size > WORKSPACE_FILE_MAX_BYTES:
                return self._fail(_File(name, ""), f"a file has at most {WORKSPACE_FILE_MAX_BYTES} bytes", 0)
            data = path.read_bytes()
        except OSError as error:
            return self._fail(_File(name, ""), f"the file cannot be read: {error.strerror}", 0)
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            file = _File(name, data[: error.start].decode(errors="replace"))
            return self._fail(file, "this is not UTF-8", len(file.text))
        file = _File(name, text)
        try:
            tree = read_tree(text)
        except Unreadable as error:
            return self._fail(file, error.message, error.offset)
        return None if tree is None else (file, tree)

    def _fail(self, file: _File, message: str, offset: int) -> "tuple[_File, Tree] | None":
        self.unreadable = True
        self._note(file, "yaml", message, offset)
        return None

    def sections(self, content: "tuple[_File, Tree]") -> None:
        """What stands at the top of a file."""
        file, tree = content
        for key, value in self._pairs(file, tree, "a file"):
            part = SECTIONS.get(key.value)
            if key.value == PRIVATE_HOSTS:
                self.private_hosts += self._hosts(file, value)
            elif key.value == TIMEZONE:
                self._timezone(file, value)
            elif key.value == ACCOUNTS:
                self._accounts(file, value)
            elif key.value == IDENTITY:
                self._identity(file, key, value)
            elif part is None:
                self._unknown(file, key, "a file", (*SECTIONS, ACCOUNTS, IDENTITY, TIMEZONE, PRIVATE_HOSTS))
            elif not _is_nothing(value):
                self._section(file, part, value)

    def _accounts(self, file: _File, tree: Tree) -> None:
        for key, value in () if _is_nothing(tree) else self._pairs(file, tree, f"`{ACCOUNTS}`"):
            if key.value != "traits":
                self._unknown(file, key, f"`{ACCOUNTS}`", ("traits",))
            elif not _is_nothing(value):
                self._section(file, "account_trait", value)

    def _section(self, file: _File, part: Part, tree: Tree) -> None:
        if part == "source" and isinstance(tree, Items):
            for item in tree.items:
                if isinstance(item, Text):
                    self._define(file, part, item, Text("", item.end, item.end, ""))
                else:
                    self._wrong(file, "value", "a source in a list is a name", item)
            return
        for key, value in self._pairs(file, tree, f"`{_SECTION.get(part, f'{part}s')}`", seen_elsewhere=True):
            self._define(file, part, key, value)

    def _define(self, file: _File, part: Part, key: Text, value: Tree) -> None:
        if (part, key.value) in self.places:
            before = self.places[part, key.value]
            line = before.file.problem("duplicate", "", before.name.start).line
            message = f"there is already a {shown_part(part)} `{key.value}`, in {before.file.name}, line {line}"
            self._wrong(file, "duplicate", message.replace("a a", "an a"), key)
            return
        self.places[part, key.value] = _Place(file, key)
        if part in ("source", "destination"):
            self._name(file, part, key)
        self.parts[part][key.value] = getattr(self, f"_{part}")(file, key, value)

    def _name(self, file: _File, part: Part, key: Text) -> None:
        if not _NAME.fullmatch(key.value) or len(key.value) > DEFINITION_NAME_MAX_CHARS:
            plain = re.sub(r"[^a-z0-9]+", "_", key.value.lower()).strip("_")
            message = f"the name of a {part} is made of a-z, 0-9, _ and -, and begins with a letter"
            self._wrong(file, "name", message, key, plain if _NAME.fullmatch(plain) else "")

    # --- definitions ------------------------------------------------------------------------------------------
    def _source(self, file: _File, key: Text, value: Tree) -> Source:
        fields = self._fields(file, key, value, {"kind": self._text, "enabled": self._yes_no})
        kind = fields.get("kind", "http")
        if kind not in _SOURCE_KINDS:
            self._wrong(file, "value", f"there is no source of kind `{kind}`", value, nearest(kind, _SOURCE_KINDS))
        return Source(key.value, **fields)

    def _trait(self, file: _File, key: Text, value: Tree) -> Trait:
        return Trait(key.value, **self._expression(file, "trait", key, value))

    def _account_trait(self, file: _File, key: Text, value: Tree) -> Trait:
        return Trait(key.value, **self._expression(file, "account_trait", key, value))

    def _audience(self, file: _File, key: Text, value: Tree) -> Audience:
        return Audience(key.value, **self._expression(file, "audience", key, value))

    def _expression(self, file: _File, part: Part, key: Text, value: Tree) -> dict[str, str]:
        """An expression alone, or a mapping that has one."""
        expression = value
        fields: dict[str, str] = {}
        if isinstance(value, Pairs):
            known = {"expression": self._text, "description": self._text}
            fields = self._fields(file, key, value, known)
            expression = next((v for k, v in value.pairs if isinstance(k, Text) and k.value == "expression"), key)
        if isinstance(expression, Items):
            self._wrong(file, "value", f"the expression of `{key.value}` is a text, not a list", expression)
        elif not isinstance(expression, Text) or expression is key or _is_nothing(expression):
            self._wrong(file, "value", f"`{key.value}` has no expression", key)
        else:
            if expression.style == "" and expression.value.lower() in ("yes", "no", "on", "off"):
                true = expression.value.lower() in ("yes", "on")
                message = f"`{expression.value}` is no expression"
                self._wrong(file, "value", message, expression, "true" if true else "false")
            else:
                self.places[part, key.value] = _Place(file, key, expression)
            return {**fields, "expression": expression.value[: EXPRESSION_MAX_CHARS + 1]}
        return {**fields, "expression": ""}

    def _destination(self, file: _File, key: Text, value: Tree) -> Destination:
        known: dict[str, Callable[[_File, Tree], Any]] = {
            "kind": self._kind, "url": self._url, "events": self._events, "audiences": self._audiences,
            "effects": self._effects, "timeout_s": self._timeout, "concurrency": self._concurrency,
            "enabled": self._yes_no,
        }  # fmt: skip
        fields = self._fields(file, key, value, known)
        names = {k.value for k, _ in value.pairs if isinstance(k, Text)} if isinstance(value, Pairs) else set()
        if "url" not in names and fields.get("kind", "webhook") == "webhook":
            self._wrong(file, "value", f"destination `{key.value}` has no `url`", key, "url: https://…")
        if not names & {"events", "audiences", "effects"}:
            message = f"destination `{key.value}` gets nothing: say which `events`, `audiences` or `effects`"
            self._wrong(file, "value", message, key, 'audiences: ["*"]')
        return Destination(key.value, **fields)

    def _fields(
        self, file: _File, key: Text, value: Tree, known: Mapping[str, Callable[[_File, Tree], Any]]
    ) -> dict[str, Any]:
        """The fields that are given and right."""
        if _is_nothing(value):
            return {}
        fields: dict[str, Any] = {}
        for field, content in self._pairs(file, value, f"`{key.value}`"):
            if field.value in ("allow_private", PRIVATE_HOSTS) and field.value not in known:
                self._for_all(file, field, value)
            elif field.value not in known:
                self._unknown(file, field, f"`{key.value}`", known)
            elif (read := known[field.value](file, content)) is not None:
                fields[field.value] = read
        return fields

    def _for_all(self, file: _File, field: Text, value: Tree) -> None:
        """A destination speaks of private hosts itself, as `allow_private: true` once did."""
        pairs = value.pairs if isinstance(value, Pairs) else ()
        urls = [v.value for k, v in pairs if isinstance(k, Text) and k.value == "url" and isinstance(v, Text)]
        host = host_of(urls[0]) if urls else ""
        message = (
            f"no destination has `{field.value}`: private hosts are named for the whole workspace, at the top of a file"
        )
        self._wrong(file, "unknown_key", message, field, f"{PRIVATE_HOSTS}: [{host}]" if host else PRIVATE_HOSTS)

    # --- values: each gives None where the value is wrong -------------------------------------------------------
    def _text(self, file: _File, value: Tree) -> str | None:
        if isinstance(value, Text):
            return value.value
        self._wrong(file, "value", "here stands one text", value)
        return None

    def _yes_no(self, file: _File, value: Tree) -> bool | None:
        if isinstance(value, Text) and value.style == "" and value.value in ("true", "false"):
            return value.value == "true"
        said = value.value.lower() if isinstance(value, Text) else ""
        meant = "true" if said in ("yes", "y", "on", "true", "1") else "false" if said else ""
        meant = meant if said in ("yes", "y", "on", "true", "1", "no", "n", "off", "false", "0") else ""
        self._wrong(file, "value", "here stands `true` or `false`, without quotes", value, meant)
        return None

    def _number(self, file: _File, value: Tree, largest: float, *, whole: bool) -> float | None:
        pattern = r"[0-9]{1,9}" if whole else r"[0-9]{1,9}(\.[0-9]{1,9})?"
        if isinstance(value, Text) and value.style == "" and re.fullmatch(pattern, value.value):
            number = float(value.value)
            if 0 < number <= largest:
                return number
        kind = "a whole number" if whole else "a number"
        self._wrong(file, "value", f"here stands {kind} above 0 and up to {largest:g}", value)
        return None

    def _timeout(self, file: _File, value: Tree) -> float | None:
        return self._number(file, value, _TIMEOUT_MAX_S, whole=False)

    def _concurrency(self, file: _File, value: Tree) -> int | None:
        number = self._number(file, value, _CONCURRENCY_MAX, whole=True)
        return None if number is None else int(number)

    def _kind(self, file: _File, value: Tree) -> str | None:
        kind = self._text(file, value)
        if kind is not None and kind not in registry.DESTINATIONS:
            near = nearest(kind, registry.DESTINATIONS)
            message = f"there is no destination of kind `{kind}`; there are: {', '.join(registry.DESTINATIONS)}"
            self._wrong(file, "value", message, value, near)
            return None
        return kind

    def _url(self, file: _File, value: Tree) -> str | None:
        url = self._text(file, value)
        if url is None:
            return None
        reason, suggestion = wrong_url(url)
        if reason:
            self._wrong(file, "value", reason, value, suggestion)
            return None
        if isinstance(value, Text):
            self.urls.append((file, value))
        return url

    def _names(self, file: _File, value: Tree) -> list[Text]:
        """One name, or a list of names."""
        if isinstance(value, Text):
            return [] if _is_nothing(value) else [value]
        if isinstance(value, Items):
            for item in value.items:
                if not isinstance(item, Text):
                    self._wrong(file, "value", "here stands a name", item)
            return [item for item in value.items if isinstance(item, Text)]
        self._wrong(file, "value", "here stands a list of names, or `*` in quotes for all", value)
        return []

    def _hosts(self, file: _File, value: Tree) -> list[str]:
        names = self._names(file, value)
        for name in names:
            if not _HOST.fullmatch(spelled(name.value)):
                message = "here stands the name or the address of one host, without scheme and port; no network, no `*`"
                self._wrong(file, "value", message, name, host_of(name.value))
        return [spelled(name.value) for name in names]

    def _timezone(self, file: _File, value: Tree) -> None:
        name = self._text(file, value)
        if name is None or not isinstance(value, Text):
            return
        if name not in ZONES:
            message = f"there is no time zone `{name}`; one is called like `Europe/Berlin` or `UTC`"
            self._wrong(file, "value", message, value, nearest(name, ZONES))
        elif self.timezones:
            before, said = self.timezones[0]
            line = before.problem("duplicate", "", said.start).line
            message = f"a workspace has one time zone, and it is said in {before.name}, line {line}"
            self._wrong(file, "duplicate", message, value)
        else:
            self.timezones.append((file, value))

    def _identity(self, file: _File, key: Text, value: Tree) -> None:
        if self.identities:
            before, said, _ = self.identities[0]
            line = before.problem("duplicate", "", said.start).line
            message = f"a workspace says once what identifies people, and it is said in {before.name}, line {line}"
            self._wrong(file, "duplicate", message, key)
        elif not _is_nothing(value):
            reading = Reading(partial(self._pairs, file), partial(self._unknown, file), partial(self._wrong, file))
            self.identities.append((file, key, IdentityReader(reading).read(value)))

    def _events(self, file: _File, value: Tree) -> tuple[str, ...]:
        names = self._names(file, value)
        for name in names:
            if not 0 < len(name.value) <= EVENT_NAME_MAX_CHARS:
                self._wrong(file, "value", f"the name of an event has 1 to {EVENT_NAME_MAX_CHARS} characters", name)
        return tuple(name.value for name in names)

    def _audiences(self, file: _File, value: Tree) -> tuple[str, ...]:
        names = self._names(file, value)
        self.named += [(file, name) for name in names if name.value != "*"]
        return tuple(name.value for name in names)

    def _effects(self, file: _File, value: Tree) -> tuple[str, ...]:
        names = self._names(file, value)
        for name in names:
            if name.value not in (*EFFECTS, "*"):
                message = f"there is no effect `{name.value}` to send; there are: {', '.join(EFFECTS)}"
                self._wrong(file, "unknown_reference", message, name, nearest(name.value, EFFECTS))
        return tuple(name.value for name in names)

    # --- what holds between definitions -------------------------------------------------------------------------
    def definitions(self) -> Definitions:
        """Everything that was read."""
        if sum(map(len, self.parts.values())) > DEFINITIONS_MAX:
            return Definitions()
        found = {part: tuple(each.values()) for part, each in self.parts.items()}
        return Definitions(
            sources=found["source"],
            traits=found["trait"],
            audiences=found["audience"],
            destinations=found["destination"],
            account_traits=found["account_trait"],
            timezone=self.timezones[0][1].value if self.timezones else Definitions().timezone,
            identity=self.identities[0][2] if self.identities else NOTHING,
            allow_private_hosts=tuple(sorted(set(self.private_hosts))),
        )

    def check(self, definitions: Definitions) -> None:
        """Expressions, and audiences that destinations name. Where a file is unreadable, a name may stand in it."""
        audiences = [audience.name for audience in definitions.audiences]
        for file, name in self.named:
            if name.value not in audiences and not self.unreadable:
                message = f"there is no audience `{name.value}`"
                self._wrong(file, "unknown_reference", message, name, nearest(name.value, audiences))
        for file, url in self.urls:
            host = host_of(url.value)
            if is_inner(host) and host not in self.private_hosts and not self.unreadable:
                message = f"nothing is sent to `{host}`, a private address, unless the workspace allows that host"
                self._wrong(file, "value", message, url, f"{PRIVATE_HOSTS}: [{host}]")
        if sum(len(found) for found in self.parts.values()) > DEFINITIONS_MAX:
            place = next(iter(self.places.values()))
            self._wrong(place.file, "too_large", f"a workspace has at most {DEFINITIONS_MAX} definitions", place.name)
        for problem in checked(definitions).problems:
            self._place(problem)

    def _place(self, problem: Problem) -> None:
        place = self.places.get((problem.part, problem.name))
        if place is None or (self.unreadable and problem.code == "unknown_name"):
            return
        if problem.in_name:
            self._wrong(place.file, problem.code, problem.message, place.name, problem.suggestion)
        elif place.expression is not None:
            offset = offset_in(place.file.text, place.expression, problem.column)
            self._note(place.file, problem.code, problem.message, offset, problem.length, problem.suggestion)

    # --- mistakes ---------------------------------------------------------------------------------------------
    def _pairs(
        self, file: _File, tree: Tree, what: str, *, seen_elsewhere: bool = False
    ) -> Iterable[tuple[Text, Tree]]:
        """Keys and values of a mapping; keys that stand there twice are mistakes."""
        if not isinstance(tree, Pairs):
            self._wrong(file, "value", f"{what} holds `name: value` lines", tree)
            return
        seen: set[str] = set()
        for key, value in tree.pairs:
            if not isinstance(key, Text):
                self._wrong(file, "yaml", "a key is a name", key)
            elif key.value in seen and not seen_elsewhere:
                self._wrong(file, "duplicate", f"`{key.value}` stands here twice", key)
            else:
                seen.add(key.value)
                yield key, value

    def _unknown(self, file: _File, key: Text, what: str, known: Iterable[str]) -> None:
        known = list(known)
        message = f"{what} has no `{key.value}`; it has {', '.join(known)}"
        self._wrong(file, "unknown_key", message, key, nearest(key.value, known))

    def _wrong(self, file: _File, code: Code, message: str, at: Tree, suggestion: str = "") -> None:
        length = at.end - at.start if isinstance(at, Text) else 1
        self._note(file, code, message, at.start, max(1, length), suggestion)

    def _note(  # noqa: PLR0913, PLR0917 - what a mistake is made of
        self, file: _File, code: Code, message: str, offset: int, length: int = 1, suggestion: str = ""
    ) -> None:
        """One more mistake; of very many the first are told, and that there are more."""
        if len(self.found) < DEFINITIONS_PROBLEMS_MAX:
            self.found.append(file.problem(code, message, offset, length, suggestion))
        elif len(self.found) == DEFINITIONS_PROBLEMS_MAX:
            self.found.append(file.problem("too_large", "there are more mistakes from here on", offset))


def wrong_url(url: str) -> tuple[str, str]:
    """Why a URL cannot be a destination's, and what to write instead; empty texts where it can."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return f"`{url}` is no URL", ""
    if parts.scheme not in ("http", "https"):
        rest = url.split("://", 1)[-1]
        fits = re.fullmatch(r"[\w.-]+(:[0-9]+)?(/\S*)?", rest)
        return "a URL begins with https:// or http://", f"https://{rest}" if fits else ""
    if not parts.hostname or re.search(r"[\s\x00-\x1f]", url):
        return f"`{url}` names no host", ""
    if parts.username is not None or parts.password is not None:
        return "a URL holds no user or password: deliveries are signed", ""
    return "", ""


def host_of(url: str) -> str:
    """The host of a URL, or of what stands for one without its scheme, as `model.host` spells it; empty: none."""
    try:
        host = urlsplit(url if "://" in url else f"//{url}").hostname or ""
    except ValueError:
        return ""
    return host if _HOST.fullmatch(host := spelled(host)) else ""


def is_inner(host: str) -> bool:
    """Whether a host leads inside by its own word; of other names only the egress door can tell, when it connects."""
    try:
        return not ip_address(host).is_global
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _is_nothing(value: Tree) -> bool:
    return isinstance(value, Text) and value.style == "" and value.value in ("", "~", "null")


Reader: TypeAlias = _Reader
File: TypeAlias = _File
"""For `workspace_given`: definitions that stand in no file."""
