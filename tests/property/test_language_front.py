"""Hostile and random texts: the front of the language never raises, and points into what it was given."""

from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import example, given
from hypothesis import strategies as st

from onefold.language.instants import parse_instant
from onefold.language.nodes import Node, canonical
from onefold.language.reading.check import checked
from onefold.language.reading.parse import parse_expression
from onefold.language.reading.show import show
from onefold.model.definitions import Audience, Definitions, Trait
from onefold.runtime.defining.workspace import read_workspace
from onefold.testing.generate import expressions as generate

WORDS = (
    "count", "sum", "first", "(", ")", "[", "]", ",", ".", '"X"', "'a'", "properties", "traits", "within=", "where=",
    "=", "==", "<", "<=", "!=", "and", "or", "not", "in", "is", "-", "+", "*", "**", "/", "%", "1", "0.5", "30d",
    "now()",
    '"30d"', "ago", "lambda", "if", "for", "x", "größe", "\n", "\t", " ", "#", "\\", "`", "{", "}", ":=", "@",
    "true", "None", "f",
    "ﬁ", "last_seen", "exists(", "name",
)  # fmt: skip
texts = (
    st.text()
    | st.lists(st.sampled_from(WORDS), max_size=30).map(" ".join)
    | st.lists(st.sampled_from(WORDS)).map("".join)
)


@given(texts)
@example("\x00")
@example("\ud800")
@example('"\ud800"')
@example("x\\\n")
@example("0777")
@example("1_")
@example("a\u2028b")
def test_any_text_is_read_or_refused_at_a_column_of_its_own(text: str) -> None:
    """The parser never raises; every problem lies in the text."""
    node = parse_expression(text)
    if isinstance(node, list):
        assert node
    for problem in node if isinstance(node, list) else ():
        assert 0 <= problem.column <= len(text), problem
        assert problem.message
        problem.show().encode(errors="surrogateescape") if "\ud800" not in text else None
    if isinstance(node, Node):
        again = parse_expression(show(node))
        assert isinstance(again, Node), again
        assert canonical(again) == canonical(node)


@given(generate.expressions())
def test_what_is_shown_is_read_back_the_same(node: Node) -> None:
    """Showing and parsing are each other's inverse, columns aside."""
    again = parse_expression(show(node))
    assert isinstance(again, Node), again
    assert canonical(again) == canonical(node)


@given(generate.definitions())
def test_generated_definitions_pass_the_check(definitions: Definitions) -> None:
    """The generator of the differential tests makes only what a workspace could hold."""
    assert not checked(definitions).problems


@given(st.lists(st.tuples(st.sampled_from("abcd") | st.text(max_size=5), texts), max_size=6), texts)
def test_any_definitions_are_checked(traits: list[tuple[str, str]], audience: str) -> None:
    """The checker never raises, and says of each problem where it is."""
    check = checked(Definitions(traits=tuple(Trait(*t) for t in traits), audiences=(Audience("z", audience),)))
    expressions: dict[tuple[str, str], str] = {("audience", "z"): audience}
    for name, text in traits:
        expressions.setdefault(("trait", name), text)
    for problem in check.problems:
        limit = len(problem.name if problem.in_name else expressions[problem.part, problem.name])
        assert 0 <= problem.column <= limit


@given(st.text(max_size=40) | st.datetimes().map(str))
def test_any_text_is_an_instant_or_none(text: str) -> None:
    """Reading an instant never raises."""
    assert parse_instant(text) is None or isinstance(parse_instant(text), int)


YAML = (
    "sources:", "traits:", "audiences:", "destinations:", "\n", "\n  ", "\n    ", "a: ", "b: ", "- ", "[", "]", "{",
    "}",
    "&x ", "*x", "!t ", '"', "'", "|", ">-", "#", "x", "count()", "expression: ", "url: ", "\t", "---", "...", "? ",
    ": ", "yes",
    "~", "%", "events: ", "effects: ", "kind: ", "\ufeff", "\u2028", "é", "\r\n", ",",
)  # fmt: skip
files = st.binary(max_size=60) | (st.text(max_size=60) | st.lists(st.sampled_from(YAML), max_size=40).map("".join)).map(
    lambda text: text.encode(errors="surrogatepass")
)


@given(files, files)
@example(b"[" * 10_000, b"{a: " * 10_000)
@example(b"traits:\n  a: >-\n    count(\n    'x) \n", b'traits: {a: "\\u00e9 == \\\n  b"}')
@example(b"a: &a [*a]", b"? [a]\n: 1")
def test_any_files_are_a_workspace_or_problems_in_their_lines(first: bytes, second: bytes) -> None:
    """Reading a directory never raises, and every problem lies in a line of its file."""
    with TemporaryDirectory() as directory:
        place = Path(directory)
        (place / "a.yaml").write_bytes(first)
        (place / "b.yml").write_bytes(second)
        _, problems = read_workspace(place)
    lines = {"a.yaml": first.count(b"\n") + 1, "b.yml": second.count(b"\n") + 1}
    for problem in problems:
        assert 1 <= problem.line <= lines[problem.file], problem
        assert problem.column >= 1
        assert problem.show()
