"""YAML as a small tree that knows where each part stands: mappings, lists and texts, and nothing else.

A text stays a text until somebody who knows what is wanted reads it, so `no`, `on` and `1e3` surprise nobody.
Anchors, aliases and tags are refused, and nothing is ever constructed. Works on the event stream: hostile nesting
costs no stack.
"""

from collections.abc import Iterator
from typing import NamedTuple

import yaml

DEPTH_MAX = 8
"""Deeper than any definition nests."""
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Text(NamedTuple):
    """A scalar. `start` and `end` are offsets in the file; `style` is empty where it has no quotes."""

    value: str
    start: int
    end: int
    style: str


class Items(NamedTuple):
    """A list."""

    items: "list[Tree]"
    start: int
    end: int


class Pairs(NamedTuple):
    """A mapping, duplicates included."""

    pairs: "list[tuple[Tree, Tree]]"
    start: int
    end: int


Tree = Text | Items | Pairs


class Unreadable(Exception):
    """The file is not the YAML that we read; at this offset."""

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(message)
        self.message = message
        self.offset = offset


def read_tree(text: str) -> Tree | None:
    """The tree of a file of one document, None where it is empty. Raises `Unreadable`."""
    try:
        return _document(_events(text))
    except yaml.reader.ReaderError as error:
        raise Unreadable("this character cannot stand in a file", _offset(text, error)) from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise Unreadable(_plainly(error), mark.index if mark else 0) from error


def _offset(text: str, error: yaml.reader.ReaderError) -> int:
    """The libyaml reader counts bytes, the other characters; the character itself is what both know."""
    found = text.find(chr(error.character)) if isinstance(error.character, int) else -1
    return found if found >= 0 else min(error.position, len(text))


def _plainly(error: yaml.MarkedYAMLError) -> str:
    problem = error.problem or "this is not YAML"
    if "mapping values are not allowed" in problem:
        return "a colon cannot stand here: put the expression in quotes, or on a line of its own after `>-`"
    if "found character '\\t'" in problem or "found character that cannot start any token" in problem:
        return "this character cannot begin a value (lines are indented with spaces, not with tabs)"
    if "expected <block end>" in problem or "did not find expected key" in problem:
        return "this does not fit what stands before: check the indentation, and quotes around what begins with one"
    return problem


def _events(text: str) -> Iterator[yaml.Event]:
    yield from yaml.parse(text, Loader=_LOADER)


def _document(events: Iterator[yaml.Event]) -> Tree | None:
    stack: list[list[Tree]] = [[]]
    opened: list[yaml.Event] = []
    documents = 0
    for event in events:
        if isinstance(event, yaml.DocumentStartEvent):
            documents += 1
            if documents > 1:
                raise Unreadable("a file holds one document", _start(event))
        elif isinstance(event, yaml.AliasEvent):
            raise Unreadable("aliases (`*name`) are not used here: write it out", _start(event))
        elif isinstance(event, yaml.NodeEvent):
            _refuse_marked(event)
            if isinstance(event, yaml.ScalarEvent):
                stack[-1].append(Text(event.value, _start(event), _end(event), event.style or ""))
                continue
            opened.append(event)
            stack.append([])
            if len(opened) > DEPTH_MAX:
                raise Unreadable("this is nested too deeply", _start(event))
        elif isinstance(event, yaml.CollectionEndEvent):
            start, children = opened.pop(), stack.pop()
            stack[-1].append(_collection(start, children, _end(event)))
    return stack[0][0] if stack[0] else None


def _refuse_marked(event: yaml.NodeEvent) -> None:
    if event.anchor is not None:
        raise Unreadable("anchors (`&name`) are not used here: write it out", _start(event))
    if getattr(event, "tag", None) is not None:
        raise Unreadable("tags (`!name`) are not used here", _start(event))


def _collection(start: yaml.Event, children: list[Tree], end: int) -> Tree:
    if isinstance(start, yaml.SequenceStartEvent):
        return Items(children, _start(start), end)
    return Pairs(list(zip(children[::2], children[1::2], strict=True)), _start(start), end)


def _start(event: yaml.Event) -> int:
    return event.start_mark.index if event.start_mark else 0


def _end(event: yaml.Event) -> int:
    return event.end_mark.index if event.end_mark else 0


def offset_in(source: str, text: Text, column: int) -> int:
    """Where in the file the character at `column` of a scalar's value stands.

    Folding and quoting change spaces and add characters, but keep the order of what is not a space: the n-th such
    character of the value is the n-th of the file, quotes and escapes aside.
    """
    column = min(column, len(text.value))
    start = text.start
    if text.style in ("|", ">"):
        start = source.find("\n", text.start, text.end) + 1 or text.start
    elif text.style:
        start += 1
    if not text.style and "\n" not in source[start : text.end]:
        return start + column
    wanted = sum(not character.isspace() for character in text.value[:column])
    return _skip(source, start, text, wanted)


def _skip(source: str, at: int, text: Text, wanted: int) -> int:
    while at < text.end and (wanted or source[at].isspace()):
        width = 1
        if text.style == '"' and source[at] == "\\":
            width = 2 + {"x": 2, "u": 4, "U": 8}.get(source[at + 1 : at + 2], 0)
        elif text.style == "'" and source[at : at + 2] == "''":
            width = 2
        if not source[at].isspace() and source[at : at + 2] not in ("\\\n", "\\ "):
            wanted -= 1
        at += width
    return min(at, len(source))
