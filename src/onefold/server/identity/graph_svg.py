"""The picture of an identity graph, as SVG that one may put into a presentation.

Everything in it that somebody else may have written is escaped, and nothing in it runs or is loaded. It can be read in
light and dark, and by who cannot see it: it has a title, a description, and each box says in full what it is. The same
graph is the same picture, byte for byte.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from html import escape
from unicodedata import combining, east_asian_width

from onefold.server.identity.graph import GraphAnswer
from onefold.server.identity.graph_layout import Layout, Placed, laid_out
from onefold.server.identity.tracing import BondAnswer

VALUE_MAX = 30
"""Characters of a value that are shown; of a longer one the middle is left out."""
_KIND_MAX = 24
_CHAR, _SMALL = 7.4, 6.3
"""Width of a character of a value, and of other words."""
_ROW, _BOX, _TOP, _EDGE = 62, 46, 80, 28
_PAD = 14
_LINK_MIN = 150
"""Between two columns: what a link needs for its bend and its words."""
_BEND = 46
_LEGEND = 34

_UNSEEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\uffff\ud800-\udfff]"
)
"""What XML does not allow, and what changes how the text around it is written."""

_STYLE = """\
svg{--bg:#fff;--ink:#1c1c22;--soft:#62626e;--line:#8a8a96;--box:#f6f6f9;--rim:#d5d5de;--merge:#2f5fd0;--said:#8338b8;\
--no:#c2352b;--nobox:#fdf1f0;--hot:#d97a06;--like:#0b8583}
@media (prefers-color-scheme:dark){svg{--bg:#17171b;--ink:#ececf1;--soft:#a2a2ae;--line:#7d7d8a;--box:#232329;\
--rim:#3d3d47;--merge:#7fa4ff;--said:#cf8df5;--no:#ff8a80;--nobox:#2d1f20;--hot:#ffb454;--like:#4fd1cb}}
text{font-family:system-ui,-apple-system,"Segoe UI",Roboto,sans-serif;fill:var(--ink);font-size:12px}
.a{font-size:17px;font-weight:600}.s{fill:var(--soft);font-size:11.5px}.t{fill:var(--soft);font-size:11px}
.v{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;font-size:12px}
.b{fill:var(--box);stroke:var(--rim)}.n{fill:var(--nobox);stroke:var(--no);stroke-dasharray:5 4}
.f{stroke-dasharray:5 4}.w{stroke:var(--hot);stroke-width:2}
.l{fill:none;stroke:var(--line);stroke-width:1.6}.m{stroke:var(--merge);stroke-width:3}
.e{stroke:var(--said);stroke-width:3}.k{stroke:var(--like);stroke-width:3}
.r{stroke:var(--no);stroke-dasharray:6 5}.h{stroke:var(--hot);stroke-width:4}
.tm{fill:var(--merge)}.te{fill:var(--said)}.tk{fill:var(--like)}.tr{fill:var(--no)}.tw{fill:var(--hot);font-weight:600}"""

_HUES = {"user_id": 25, "email": 275, "phone": 340, "device_id": 185, "anonymous_id": 215}
"""Of the strips by which types are told apart."""
_OTHER_HUES = (150, 60, 115, 0, 240)
"""Of types that are not built in, in the alphabet of those that are there."""


def drawn(graph: GraphAnswer) -> str:
    """The picture."""
    return _Picture(graph).text()


def plain(text: str) -> str:
    """Text that strangers may have written, as it may stand in an SVG."""
    return escape(_UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text))


def shortened(text: str, most: int) -> str:
    """The text, where it is long without its middle; what cannot be seen is written out first."""
    seen = _UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
    if _width(seen) <= most:
        return seen
    head, tail = _taken(seen, most * 3 // 5), _taken(seen[::-1], most - most * 3 // 5 - 1)[::-1]
    return f"{head}…{tail}"


def _taken(text: str, most: int) -> str:
    for n in range(len(text), 0, -1):
        if _width(text[:n]) <= most:
            return text[:n]
    return ""


def _width(text: str) -> int:
    """In columns of a fixed font, about."""
    return sum(0 if combining(each) else 2 if east_asian_width(each) in "WF" else 1 for each in text)


class _Picture:
    def __init__(self, graph: GraphAnswer) -> None:
        self._graph = graph
        self._layout: Layout = laid_out(graph)
        boxes = list(self._layout.boxes())
        kinds = sorted({box.node.type for box in boxes if box.node is not None} - _HUES.keys())
        self._hues = _HUES | {kind: _OTHER_HUES[n % len(_OTHER_HUES)] for n, kind in enumerate(kinds)}
        self._widths = _by_depth(boxes, _box_width, 90.0)
        self._gaps = _by_depth(boxes, _link_width, _LINK_MIN)
        self._lefts = self._columns()

    def _columns(self) -> list[float]:
        """Where each column begins."""
        lefts = [float(_EDGE)]
        for depth in range(self._layout.depth):
            lefts.append(lefts[-1] + self._widths.get(depth, 0.0) + self._gaps.get(depth + 1, float(_LINK_MIN)))
        return lefts

    def text(self) -> str:
        """The whole SVG."""
        legend = list(self._legend())
        width = max(self._lefts[-1] + self._widths.get(self._layout.depth, 0.0) + _EDGE, 620.0, _legend_width(legend))
        height = _TOP + max(self._layout.rows, 1) * _ROW + _LEGEND
        name, size = self._graph.profile, f"{width:.0f} {height:.0f}"
        parts = [
            (
                f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size}" width="{width:.0f}" '
                f'height="{height:.0f}" role="img" aria-labelledby="{name}-t {name}-d">'
            ),
            f'<title id="{name}-t">{plain(self._title())}</title>',
            f'<desc id="{name}-d">{plain(self._description())}</desc>',
            f"<style>{_STYLE}</style>",
            f'<rect width="{width:.0f}" height="{height:.0f}" fill="var(--bg)"/>',
            _line(_EDGE, 36, "a", self._title()),
            _line(_EDGE, 57, "s", self._summary()),
            *self._links(),
            *self._boxes(),
            *_legend_line(legend, height - 14),
            "</svg>",
        ]
        return "\n".join(parts) + "\n"

    def _title(self) -> str:
        return f"The identity of {self._graph.profile}"

    def _summary(self) -> str:
        graph = self._graph
        parts = [_many(len(graph.nodes), "identifier"), _many(graph.events, "event")]
        if graph.merges:
            parts.append(f"made of {graph.merges + 1} profiles")
        refused = len(graph.refused) + graph.refused_left_out
        if refused:
            parts.append(_many(refused, "refused link"))
        if self._layout.left_out:
            parts.append(f"{self._layout.left_out:,} identifiers are counted only")
        if graph.events_forgotten:
            parts.append(f"{_many(graph.events_forgotten, 'event')} no longer kept")
        return " · ".join(parts)

    def _description(self) -> str:
        names = [box.text for box in self._layout.boxes() if box.node is not None]
        links = [
            f"{box.link.a} and {box.link.b}: {box.link.text}" for box in self._layout.boxes() if box.link is not None
        ]
        refused = [box.refused.text for box in self._layout.boxes() if box.refused is not None]
        told = f"{self._summary()}. Identifiers: {', '.join(names)}."
        return told + "".join(f" {each}." for each in (*links, *refused))

    # --- boxes -------------------------------------------------------------------------------------------------------
    def _at(self, box: Placed) -> tuple[float, float]:
        """The left and the middle of a box."""
        return self._lefts[box.depth], _TOP + box.row * _ROW + _ROW / 2

    def _boxes(self) -> Iterator[str]:
        for box in self._layout.boxes():
            left, middle = self._at(box)
            width, top = self._widths[box.depth], middle - _BOX / 2
            if box.node is None and box.refused is None:
                yield _line(left + 4, middle + 4, "s", box.text)
                continue
            yield f"<g><title>{plain(_told(box))}</title>"
            size = f'width="{width:.1f}" height="{_BOX}"'
            yield f'<rect class="{_look(box)}" x="{left:.1f}" y="{top:.1f}" {size} rx="8"/>'
            if box.node is not None:
                hue = self._hues[box.node.type]
                yield (
                    f'<rect x="{left:.1f}" y="{top + 9:.1f}" width="4" height="{_BOX - 18}" rx="2" '
                    f'fill="hsl({hue} 65% 52%)"/>'
                )
            kind, _, value = box.text.partition(":")
            yield _line(left + _PAD, middle - 6, "t", shortened(kind, _KIND_MAX) + _beside(box))
            yield _line(left + _PAD, middle + 13, "v", shortened(value, VALUE_MAX))
            if box.node is not None and box.node.hot:
                yield (
                    f'<text class="tw" x="{left + width - 10:.1f}" y="{middle - 6:.1f}" text-anchor="end">hot</text>'
                )
            yield "</g>"

    # --- links --------------------------------------------------------------------------------------------------
    def _links(self) -> Iterator[str]:
        for box in self._layout.boxes():
            for child in box.children:
                yield from self._link(box, child)

    def _link(self, parent: Placed, child: Placed) -> Iterator[str]:
        left, middle = self._at(parent)
        right, end = self._at(child)
        start = left + self._widths[parent.depth]
        bend, stop = start + _BEND, right
        look = _look_of_link(child)
        yield (
            f'<path class="{look}" d="M{start:.1f} {middle:.1f}C{start + _BEND * 0.6:.1f} {middle:.1f} '
            f'{start + _BEND * 0.4:.1f} {end:.1f} {bend:.1f} {end:.1f}L{stop:.1f} {end:.1f}"/>'
        )
        above, below, ink = _words(child)
        if above:
            yield _line(bend + 4, end - 6, f"s {ink}".strip(), above)
        if below:
            yield _line(bend + 4, end + 15, "t", below)

    # --- legend -------------------------------------------------------------------------------------------------
    def _legend(self) -> Iterator[tuple[str, str]]:
        boxes = list(self._layout.boxes())
        looks = {_look_of_link(box) for box in boxes if box.link is not None or box.refused is not None}
        if any(box.node is not None and box.node.hot for box in boxes):
            looks.add(_HOT)
        for look, words in _LEGENDS:
            if look in looks:
                yield look, words


_HOT = "l h"
_LEGENDS = (
    ("l", "came together in an event"),
    ("l m", "joined two profiles"),
    ("l e", "said by somebody"),
    ("l k", "alike: linked by matching"),
    ("l r", "refused: not this person"),
    (_HOT, "hot: joins nobody any more"),
)


def _legend_width(legend: Sequence[tuple[str, str]]) -> float:
    return 2 * _EDGE + sum(50 + len(words) * _SMALL + 18 for _, words in legend)


def _legend_line(legend: Iterable[tuple[str, str]], y: float) -> Iterator[str]:
    x = float(_EDGE)
    for look, words in legend:
        yield f'<path class="{look}" d="M{x:.1f} {y - 4:.1f}h34"/>'
        yield _line(x + 42, y, "s", words)
        x += 50 + len(words) * _SMALL + 18


def _by_depth(boxes: Iterable[Placed], width: Callable[[Placed], float], least: float) -> dict[int, float]:
    widest: dict[int, float] = {}
    for box in boxes:
        widest[box.depth] = max(widest.get(box.depth, least), width(box))
    return widest


def _box_width(box: Placed) -> float:
    if box.node is None and box.refused is None:
        return len(box.text) * _SMALL + 8
    kind, _, value = box.text.partition(":")
    first = _width(shortened(kind, _KIND_MAX) + _beside(box)) * _SMALL
    hot = 34 if box.node is not None and box.node.hot else 0
    return max(first + hot, _width(shortened(value, VALUE_MAX)) * _CHAR) + 2 * _PAD


def _link_width(box: Placed) -> float:
    above, below, _ = _words(box)
    return _BEND + max(len(above), len(below)) * _SMALL + 18


def _beside(box: Placed) -> str:
    """What stands behind the type of an identifier."""
    if box.refused is not None:
        return " · of another" if box.refused.profile else " · nobody's"
    assert box.node is not None
    if box.node.former:
        return " · former"
    return f" · met {_many(box.node.met, 'other')}" if box.node.met else ""


def _look(box: Placed) -> str:
    if box.refused is not None:
        return "n"
    assert box.node is not None
    return "b w" if box.node.hot else "b f" if box.node.former else "b"


def _look_of_link(child: Placed) -> str:
    if child.refused is not None:
        return "l r"
    if child.link is None:
        return "l"
    if (look := _SAID.get(_name(child.link.rule))) is not None:
        return look
    return "l m" if child.link.merged else "l"


def _words(child: Placed) -> tuple[str, str, str]:
    """What stands above a link and below it, and the ink of the former."""
    if child.refused is not None:
        one = child.refused
        said = {"never": "never: said by", "undone": "undone by"}.get(one.kind)
        above = f"{said} {shortened(one.by, 20) or 'somebody'}" if said else _rule(one.rule) or one.kind
        return above, _counted(one.events, one.at or one.latest), "tr"
    link = child.link
    if link is None:
        return "", "", ""
    if link.rule == "explicit":
        said = f"said by {shortened(link.by, 20) or 'somebody'}"
        return said + _ended(link), _day(link.at), "te"
    ink = "tk" if _name(link.rule) in _SAID else "tm" if link.merged else ""
    return _rule(link.rule) + _ended(link), _counted(link.events, link.at), ink


_SAID = {"explicit": "l e", "matched": "l k"}
"""How links look that no event has made."""


def _name(rule: str) -> str:
    """A rule's name, without the score behind it."""
    return rule.partition(":")[0]


def _rule(rule: str) -> str:
    """A rule's name, with the score behind it where it has one."""
    name, _, more = rule.partition(":")
    return shortened(f"{name} {more.partition(':')[0]}".strip(), _KIND_MAX)


def _ended(link: BondAnswer) -> str:
    """The profile that ended by it, as it is told apart within a picture."""
    return f", ended prf_…{link.merged[-6:]}" if link.merged else ""


def _counted(events: int, at: str | None) -> str:
    parts = ([_day(at)] if at else []) + ([_many(events, "event")] if events else [])
    return " · ".join(parts)


def _day(at: str) -> str:
    return at[:16].replace("T", " ")


def _told(box: Placed) -> str:
    """All that a box stands for, in full."""
    if box.refused is not None:
        owner = f" It leads to {box.refused.profile}." if box.refused.profile else ""
        return f"{box.text}: {box.refused.text}.{owner}"
    assert box.node is not None
    parts = [box.text, f"first seen {box.node.first_seen}"]
    if box.node.hot:
        parts.append("hot: it joins nobody any more")
    if box.link is not None:
        parts.append(_of_link(box.link))
    return ", ".join(parts)


def _of_link(link: BondAnswer) -> str:
    ended = f", which ended {link.merged}" if link.merged else ""
    event = f", event {link.place}" if link.place else ""
    return f"tied to {link.a} and {link.b} by {link.rule} ({link.text}) at {link.at}{event}{ended}"


def _line(x: float, y: float, look: str, text: str) -> str:
    return f'<text class="{look}" x="{x:.1f}" y="{y:.1f}">{plain(text)}</text>'


def _many(n: int, one: str) -> str:
    return f"{n:,} {one}{'' if n == 1 else 's'}"
