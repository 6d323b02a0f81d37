"""An explanation as people read it in a terminal: what holds and what does not, with numbers and events behind it."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from rich.cells import cell_len

from onefold.cli.printing import instant as show_instant
from onefold.cli.printing import many, plain, spelt
from onefold.language.values import milliseconds
from onefold.limits import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS
from onefold.model import position
from onefold.model.explanation import Answer, Evidence, Explanation, Ground, Note, Part
from onefold.server.people.profile_answer import event_id

_TEXT_MAX = 72
"""Columns of the tree before the values; a longer line pushes its own value to the right."""
_MARK = 9
"""Columns of a yes or no before its text."""
_NESTED_MAX = 8
"""Traits of traits that are shown inside each other; of what lies deeper the reader asks by name."""
_SILENT = ("literal", "now")
"""Parts whose value is their text, or the time."""
_UNITS = ((DAY_MS, "d"), (HOUR_MS, "h"), (MINUTE_MS, "min"), (SECOND_MS, "s"))


_UNCONFIRMED = "  [yellow]![/] [dim]the events that are kept do not give the same answer: see the notes above[/]"


class _Row(NamedTuple):
    """One line: markup to the left, how many columns it takes, markup to the right."""

    left: str
    columns: int
    right: str


def lines(explanation: Explanation, who: str, applied: str, events: int) -> Iterator[str]:
    """The explanation as lines of markup; `applied` says who made the version, `events`: so many of each part."""
    yield from _head(explanation, who, applied)
    yield ""
    yield from _aligned(_Tree(explanation, events).rows())
    yield ""
    yield from _foot(explanation, events)


def _head(explanation: Explanation, who: str, applied: str) -> Iterator[str]:
    answer, at_ms = explanation.answer, explanation.at_ms
    if answer.kind == "trait":
        yield f"[bold]{plain(answer.name)}[/] of {plain(who)} is {_value(answer.value)}"
    elif answer.value:
        since = "" if explanation.since_ms is None else f" since {_when(explanation.since_ms, at_ms)}"
        yield f"[bold green]✓[/] {plain(who)} is in [bold]{plain(answer.name)}[/]{since}"
    else:
        yield f"[bold red]✗[/] {plain(who)} is not in [bold]{plain(answer.name)}[/]"
    if answer.description:
        yield f"[dim]{plain(answer.description)}[/]"
    yield _future(answer, at_ms, explanation.beyond_ms)
    profile = position.show(explanation.profile)
    yield f"[dim]as of {show_instant(at_ms)} UTC · {profile} · definitions {explanation.version}{plain(applied)}[/]"
    if explanation.late_ms is not None:
        late = _when(explanation.late_ms, at_ms)
        yield f"[yellow]![/] a timer is due since {late} and no worker has come: this is as it was judged last"
    if explanation.kept_out:
        rules = ", ".join(explanation.kept_out)
        yield f"[yellow]![/] identifiers were kept out ({plain(rules)}): what they did is not in this"
    for identifier in explanation.hot:
        yield f"[yellow]![/] {plain(identifier)} has met too many others, and joins nobody any more"
    if explanation.seen < explanation.events:
        missing = explanation.events - explanation.seen
        yield f"[yellow]![/] {missing:,} of {explanation.events:,} events are no longer kept: their part is not shown"


def _future(answer: Answer, at_ms: int, beyond_ms: int | None) -> str:
    turn = answer.turn
    if turn is None:
        until = "" if beyond_ms is None else f" before {show_instant(beyond_ms)}"
        if beyond_ms == at_ms:
            until = ", but for what the account has"
        return f"[dim]time alone does not change it{until}[/]"
    if answer.kind == "audience":
        return f"[cyan]{'enters' if turn.value is True else 'leaves'} by itself {_when(turn.at_ms, at_ms)}[/]"
    value = _value(turn.value, instant=answer.whole.instant)
    return f"[cyan]becomes {value} by itself {_when(turn.at_ms, at_ms)}[/]"


def _foot(explanation: Explanation, events: int) -> Iterator[str]:
    grounds, one = explanation.grounds, len(explanation.grounds) == 1
    if not grounds:
        yield "[dim]no event decided it[/]" + ("" if explanation.confirmed else _UNCONFIRMED)
        return
    alone = f"[dim], which alone {'gives' if one else 'give'} the same answer[/]"
    many = "1 event" if one else f"{len(grounds):,} events"
    yield f"[bold]decided by {many}[/]{alone if explanation.confirmed else _UNCONFIRMED}"
    for line in _events(grounds, explanation.at_ms, events):
        yield f"  {line}"


class _Tree:
    """The rows of an explanation, each trait where it is first named."""

    def __init__(self, explanation: Explanation, events: int) -> None:
        self._answer = explanation.answer
        self._others = {other.name: other for other in explanation.rests_on}
        self._at_ms = explanation.at_ms
        self._events = events
        self._shown: set[str] = set()

    def rows(self) -> Iterator[_Row]:
        return self._part(self._answer.whole, "", "", 0)

    def _part(self, part: Part, before: str, inside: str, depth: int) -> Iterator[_Row]:
        """A part and what is below it; `before` stands before its first line, `inside` before the others."""
        mark = _mark(part.value) if isinstance(part.value, bool) else ""
        marked = f"{mark}[bold]{plain(part.text)}[/]"
        columns = cell_len(before) + (_MARK if mark else 0) + cell_len(part.text)
        asked = part is self._answer.whole
        right = "  ".join(filter(None, (_result(part), "" if asked else self._turn(part))))
        yield _Row(f"[dim]{before}[/]{marked}", columns, right)
        below = [each for each in part.parts if each.kind not in _SILENT]
        other = self._opened(part, depth)
        more = len(below) + (other is not None)
        for line in self._remarks(part, bool(part.names) and other is None):
            guide = inside + ("│  " if more else "   ")
            yield _Row(f"[dim]{guide}[/]{line}", 0, "")
        inner = [(each, depth) for each in below]
        if other is not None:
            inner.append((other.whole, depth + 1))
        for n, (each, deep) in enumerate(inner, 1):
            last = n == len(inner)
            yield from self._part(each, inside + ("└─ " if last else "├─ "), inside + ("   " if last else "│  "), deep)

    def _opened(self, part: Part, depth: int) -> Answer | None:
        """The trait or audience that a part names, where it is to be shown here."""
        if not part.names or part.names in self._shown or depth >= _NESTED_MAX:
            return None
        self._shown.add(part.names)
        return self._others.get(part.names)

    def _remarks(self, part: Part, closed: bool) -> Iterator[str]:  # noqa: FBT001 (of one caller)
        if closed:
            why = "shown above" if part.names in self._shown else f"ask: onefold why … {part.names}"
            yield f"[dim]{plain(why)}[/]"
        if part.evidence is not None and part.slot:
            yield f"[dim]{_behind(part.evidence, self._at_ms)}[/]"
        if part.evidence is not None:
            yield from _events(part.evidence.grounds, self._at_ms, self._events, part)
        for note in part.notes:
            of_account = note.reason == "account"
            yield f"[dim]{plain(note.text)}[/]" if of_account else f"[yellow]![/] {plain(_note(note, part))}"

    def _turn(self, part: Part) -> str:
        turn = part.turn
        if turn is None:
            return ""
        verb = "turns" if isinstance(turn.value, bool) else "becomes"
        return f"[cyan]{verb} {_value(turn.value, instant=part.instant)} {_when(turn.at_ms, self._at_ms)}[/]"


def _mark(value: bool) -> str:  # noqa: FBT001 (a value of the language)
    return "[green]✓ true[/]   " if value else "[red]✗ false[/]  "


def _result(part: Part) -> str:
    """The numbers behind a comparison, or a value."""
    if part.kind == "compare":
        return f" {part.operator} ".join(_shown(side) for side in part.parts)
    if part.kind == "in":
        return _shown(part.parts[0])
    return "" if isinstance(part.value, bool) else f"= {_shown(part)}"


def _shown(part: Part) -> str:
    return _value(part.value, instant=part.instant)


def _behind(evidence: Evidence, at_ms: int) -> str:
    """How many events there were, and how many of them counted."""
    if not evidence.named:
        return "no such event so far"
    text = many(evidence.named, "such event")
    if evidence.from_ms is not None:
        within = f"{evidence.within:,}" if evidence.within else "none"
        text += f", {within} of them since {_edge(evidence.from_ms, at_ms)}"
        if evidence.until_ms is not None and evidence.until_ms < at_ms:
            text += f" and before {_edge(evidence.until_ms, at_ms)}"
        if not evidence.within and evidence.latest_ms is not None:
            text += f", the latest {_when(evidence.latest_ms, at_ms)}"
    if evidence.counted != evidence.within:
        text += f", {evidence.counted:,} counted"
    return text


def _events(grounds: Sequence[Ground], at_ms: int, limit: int, part: Part | None = None) -> Iterator[str]:
    for ground in grounds[:limit]:
        value = ""
        if part is not None and ground.value is not None:
            value = f"  {_value(ground.value, instant=part.instant)}"
        origin = f"[dim]{plain(ground.source)} {event_id(ground.partition, ground.position)}[/]"
        yield f"[dim]{_when(ground.at_ms, at_ms)}[/]  {plain(ground.name)}  {origin}{value}"
    if len(grounds) > limit:
        yield f"[dim]and {len(grounds) - limit:,} more; --events {min(len(grounds), 10 * max(limit, 1))} shows them[/]"


def _note(note: Note, part: Part) -> str:
    text = f"{note.text}, since {show_instant(note.at_ms)} only" if note.at_ms is not None else note.text
    if not part.differs:
        return text
    return f"the events make {_text(part.derived, instant=part.instant)}: {text}"


def _value(value: Any, *, instant: bool = False) -> str:
    colour = "green" if isinstance(value, str) else "yellow"
    return f"[{colour}]{plain(_text(value, instant=instant))}[/]"


def _text(value: Any, *, instant: bool = False) -> str:
    if instant and isinstance(value, int):
        return show_instant(value)
    if isinstance(value, datetime):
        return show_instant(milliseconds(value))
    return "missing" if value is None else f'"{value}"' if isinstance(value, str) else spelt(value)


def _when(when_ms: int, at_ms: int) -> str:
    """A time, and how far from the instant of the answer it is."""
    return f"{show_instant(when_ms)} ({_distance(when_ms - at_ms)})"


def _edge(last_ms: int, at_ms: int) -> str:
    """The first instant after a window's edge."""
    return f"{show_instant(last_ms + 1)} ({_distance(last_ms - at_ms)})"


def _distance(ms: int) -> str:
    if abs(ms) < SECOND_MS:
        return "now"
    largest = next(n for n, (unit_ms, _) in enumerate(_UNITS) if abs(ms) >= unit_ms)
    left, parts = abs(ms), []
    for unit_ms, unit in _UNITS[largest : largest + 2]:
        if many := left // unit_ms:
            parts.append(f"{many:,} {unit}")
        left %= unit_ms
    text = " ".join(parts)
    return f"in {text}" if ms > 0 else f"{text} ago"


def _aligned(rows: Iterable[_Row]) -> Iterator[str]:
    """Values in one column, as far as the texts before them let them."""
    found = list(rows)
    width = max((row.columns for row in found if row.right and row.columns <= _TEXT_MAX), default=0)
    for row in found:
        yield row.left + (" " * max(width - row.columns, 0) + "  " + row.right if row.right else "")
