"""The picture of an identity graph: hostile text is only text, nothing overlaps, it stays small, and it is the same."""

import random
import re
import xml.etree.ElementTree as ET
from itertools import combinations, pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onefold.limits import GRAPH_NODES_MAX
from onefold.model.definitions import Definitions
from onefold.model.identity import Identity
from onefold.server.identity.graph import GraphAnswer, NodeAnswer, RefusedAnswer, graph
from onefold.server.identity.graph_layout import DEPTH_MAX, laid_out
from onefold.server.identity.graph_svg import VALUE_MAX, drawn, plain, shortened
from onefold.server.identity.tracing import BondAnswer
from onefold.testing import identity_stories as stories
from onefold.testing.world import World, track

SVG = "{http://www.w3.org/2000/svg}"
AT = "2026-03-02T08:00:00.000Z"
ALLOWED = {f"{SVG}{name}" for name in ("svg", "title", "desc", "style", "rect", "path", "text", "g")}
HOSTILE = (
    "</svg><script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "a\x00b\x1b[31m", "\u202eevil\u202c",
    "日本語の長い識別子がここにありますよ" * 3, "&amp;<![CDATA[x]]>", "x" * 380, "e\u0301" * 50, "🙂🙂", "\ufffe\uffff",
    "<?xml version='1.0'?>", "</style><style>*{display:none}", "javascript:alert(1)", "\ud800", "]]>", "<!--", "--",
)  # fmt: skip


def node(identifier: str, *, hot: bool = False) -> NodeAnswer:
    """An identifier."""
    kind, _, value = identifier.partition(":")
    return NodeAnswer(identifier, kind, value, AT, hot, former=False, met=0)


def link(a: str, b: str, by: str = "") -> BondAnswer:
    """A link between two."""
    return BondAnswer(a, b, "explicit" if by else "shared_event", "text", AT, "00-1", by, None, 1, AT, None)


def refused(a: str, b: str, by: str = "") -> RefusedAnswer:
    """What was kept apart."""
    return RefusedAnswer("never" if by else "refused", a, b, "one_user_id", f"{a} and {b}", None, by, AT, 1, AT)


def made(nodes: list[NodeAnswer], links: list[BondAnswer], out: list[RefusedAnswer] | None = None) -> GraphAnswer:
    """A graph of these."""
    return GraphAnswer("prf_0000000000010001", 5, 0, 0, nodes, links, out or [], 0)


def elements(picture: str) -> list[ET.Element]:
    """All elements of a picture, which is XML."""
    return list(ET.fromstring(picture).iter())


def harmless(picture: str) -> None:
    """Nothing but the drawing's own elements, and no attribute that runs or loads anything."""
    found = elements(picture)
    assert {each.tag for each in found} <= ALLOWED
    assert sum(each.tag == f"{SVG}style" for each in found) == 1
    for each in found:
        for name, value in each.attrib.items():
            assert not name.lower().startswith("on")
            assert "href" not in name.lower()
            assert "url(" not in value
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", picture)


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_identifiers_are_only_text(text: str) -> None:
    """As a value, as a type, and as the name of who said something."""
    one, other, third = "user_id:1", f"email:{text}", f"{text.replace(':', '')}:x"
    picture = drawn(made([node(one), node(other), node(third)], [link(one, other, text), link(one, third)], [
        refused(one, f"email:{text}2", text)
    ]))  # fmt: skip
    harmless(picture)
    picture.encode()


@settings(max_examples=150, deadline=None)
@given(st.lists(st.text(max_size=400), min_size=1, max_size=6))
def test_any_text_is_only_text(texts: list[str]) -> None:
    """Whatever strangers send as identifiers, the picture is well-formed and harmless."""
    names = list(dict.fromkeys(f"email:{text}" for text in texts))
    picture = drawn(made([node("user_id:1"), *map(node, names)], [link("user_id:1", each, each) for each in names]))
    harmless(picture)
    picture.encode()


@given(st.text(max_size=100))
def test_what_is_shown_of_a_value_fits(text: str) -> None:
    """Both ends of a long value are shown; a short one is shown whole."""
    short = shortened(text, VALUE_MAX)
    assert len(short) <= VALUE_MAX or any(ord(each) > 127 for each in text)
    if text.isascii() and text.isprintable() and len(text) <= VALUE_MAX:
        assert short == text
    if text.isascii() and text.isprintable() and len(text) > VALUE_MAX:
        head, _, tail = short.partition("…")
        assert text.startswith(head)
        assert text.endswith(tail)
    ET.fromstring(f"<t>{plain(text)}</t>")


def boxes_of(picture: str) -> list[tuple[float, float, float, float]]:
    """The boxes of a picture: left, top, right, bottom."""
    found = [each for each in elements(picture) if each.tag == f"{SVG}rect" and each.get("rx") == "8"]
    return [
        (x, y, x + float(each.attrib["width"]), y + float(each.attrib["height"]))
        for each in found
        for x, y in ((float(each.attrib["x"]), float(each.attrib["y"])),)
    ]


def a_tree(seed: int) -> GraphAnswer:
    """A random forest of identifiers with some things that were refused."""
    chance = random.Random(seed)
    names = [f"{chance.choice(('email', 'anonymous_id', 'card'))}:{n}-{'v' * chance.randrange(60)}" for n in range(
        chance.randrange(1, 90)
    )]  # fmt: skip
    links = [link(chance.choice(names[:n]), names[n]) for n in range(1, len(names)) if chance.random() < 0.9]
    out = [refused(chance.choice(names), f"user_id:other{n}") for n in range(chance.randrange(12))]
    return made([node(name, hot=chance.random() < 0.1) for name in names], links, out)


@pytest.mark.parametrize("seed", range(40))
def test_nothing_overlaps_and_nothing_is_left_out_unsaid(seed: int) -> None:
    """Boxes lie apart and within the picture; every identifier is shown or counted."""
    found = a_tree(seed)
    picture = drawn(found)
    harmless(picture)
    top = elements(picture)[0]
    width, height = float(top.attrib["width"]), float(top.attrib["height"])
    boxes = boxes_of(picture)
    for left, upper, right, lower in boxes:
        assert 0 <= left < right <= width
        assert 0 <= upper < lower <= height
    for one, other in combinations(boxes, 2):
        apart = one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]
        assert apart
    layout = laid_out(found)
    shown = [box for box in layout.boxes() if box.node is not None]
    assert len(shown) <= GRAPH_NODES_MAX
    counted = sum(
        int(re.sub(r"\D", "", box.text)) for box in layout.boxes() if box.node is None and box.text.startswith("and")
        if "refused" not in box.text
    )  # fmt: skip
    assert len(shown) + counted == len(found.nodes)
    assert layout.left_out == counted
    assert layout.depth <= DEPTH_MAX + 1
    drawn_refused = sum(box.refused is not None for box in layout.boxes())
    more = sum(int(re.sub(r"\D", "", box.text)) for box in layout.boxes() if box.text.endswith("more refused"))
    assert drawn_refused + more == len(found.refused)


def test_a_thousand_identifiers_make_a_small_picture() -> None:
    """It shows some of each type and counts the others; a chain of them is cut on both sides."""
    world = World(Definitions(version=1, identity=Identity()))
    for n in range(998):
        world.send(track("A", user="ann", anonymous=f"device-{n}"))
    world.send({"type": "identify", "userId": "ann", "traits": {"email": "ann@example.com"}})
    world.fold()
    picture = drawn(graph(stories.engines_of(world), "user_id:ann"))
    harmless(picture)
    assert len(boxes_of(picture)) <= GRAPH_NODES_MAX
    assert float(elements(picture)[0].attrib["height"]) < 2_500
    assert "1,000 identifiers" in picture
    assert "more anonymous_id" in picture
    names = [f"anonymous_id:{n}" for n in range(1_000)]
    chain = drawn(made([*map(node, names)], [link(*pair) for pair in pairwise(names)]))
    assert float(elements(chain)[0].attrib["width"]) < 4_000


def test_the_same_graph_is_the_same_picture() -> None:
    """Byte for byte, whenever it is drawn."""
    assert stories.pictures() == stories.pictures()
    assert drawn(a_tree(3)) == drawn(a_tree(3))


def test_a_link_by_matching_is_told_from_others() -> None:
    """It has a colour and a word of its own, with the score that it was made by."""
    alike = link("user_id:1", "email:a@b.c")
    alike.rule = "matched:0.9876:w1"
    picture = drawn(made([node("user_id:1"), node("email:a@b.c")], [alike]))
    assert 'class="l k"' in picture
    assert "matched 0.9876" in picture
    assert "alike: linked by matching" in picture


def test_a_picture_says_what_it_shows() -> None:
    """Who cannot see it reads a title and a description; every box tells in full what stands for it."""
    picture = stories.pictures()["ben"]
    top: Any = ET.fromstring(picture)
    assert top.get("role") == "img"
    labels = str(top.get("aria-labelledby")).split()
    texts = {each.get("id"): each.text for each in top.iter() if each.get("id")}
    assert [bool(texts[label]) for label in labels] == [True, True]
    assert "soft_identifier" in picture
    assert "prefers-color-scheme:dark" in picture
    titles = [each.text for group in top.iter(f"{SVG}g") for each in group.iter(f"{SVG}title")]
    assert any("email:ben@example.com, first seen 2026-03-04" in str(each) for each in titles)
    assert any("are never one person" in str(each) for each in titles)
