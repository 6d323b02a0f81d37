"""Workspace files: read into definitions, every mistake at its place, and the difference to what is in force."""

from pathlib import Path

import pytest

from onefold.errors import DefinitionError
from onefold.model.definitions import Audience, Definitions, Destination, Source, Trait
from onefold.runtime.defining.difference import changes, difference
from onefold.runtime.defining.workspace import FileProblem, WorkspaceError, load_workspace, read_workspace, wrong_url
from onefold.runtime.defining.yaml_tree import Pairs, Text, offset_in, read_tree

RETAIL = Path(__file__).parents[4] / "examples" / "retail"


def problems(place: Path, **files: str) -> list[FileProblem]:
    """What is wrong with a workspace of these files."""
    for name, text in files.items():
        (place / f"{name}.yaml").write_text(text, encoding="utf-8")
    return read_workspace(place)[1]


def test_the_retail_example_is_right() -> None:
    """The example that newcomers start from has no mistakes, and is as rich as promised."""
    definitions = load_workspace(RETAIL)
    assert {source.name for source in definitions.sources} == {"web", "app", "store", "callcentre"}
    assert len(definitions.traits) >= 10
    assert len(definitions.audiences) >= 10
    assert [d.url for d in definitions.destinations] == ["http://127.0.0.1:8099/hook"]


def test_the_example_of_accounts_is_right() -> None:
    """It has traits of accounts, and audiences of people that read them."""
    definitions = load_workspace(RETAIL.parent / "saas")
    assert {trait.name for trait in definitions.account_traits} >= {"seats_used", "tier"}
    assert sum("account." in audience.expression for audience in definitions.audiences) >= 3


def test_everything_that_can_be_said(tmp_path: Path) -> None:
    """Short and long forms, over several files and folders."""
    (tmp_path / "more").mkdir()
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "x.yaml").write_text("not: ours")
    (tmp_path / "more" / "a.yml").write_text(
        "timezone: Europe/Berlin\nallow_private_hosts: [127.0.0.1, '[::1]']\n"
        "sources: {shop: , app: {enabled: false}}\ntraits:\n  n: events\n"
    )
    (tmp_path / "z.yaml").write_text(
        "allow_private_hosts: Hooks.Internal.\n"
        "audiences:\n  big:\n    description: Many\n    expression: >-\n      n\n      > 3\n"
        "destinations:\n"
        "  d: {url: https://x.example/h, events: '*', audiences: [big], timeout_s: 2.5, concurrency: 3}\n"
    )
    assert load_workspace(tmp_path) == Definitions(
        sources=(Source("shop"), Source("app", enabled=False)),
        traits=(Trait("n", "events"),),
        audiences=(Audience("big", "n > 3", "Many"),),
        destinations=(
            Destination(
                "d", url="https://x.example/h", events=("*",), audiences=("big",), timeout_s=2.5, concurrency=3
            ),
        ),
        timezone="Europe/Berlin",
        allow_private_hosts=("127.0.0.1", "::1", "hooks.internal"),
    )


def test_every_mistake_of_every_file_comes_at_once(tmp_path: Path) -> None:
    """Each with file, line, column and suggestion, in order."""
    found = problems(
        tmp_path,
        a='traits:\n  orders: count("X", within="30 days")\n  vip: ordrs > 3\nsorces: []\n',
        b="traits:\n  orders: 3\naudiences:\n  big: vip\n",
        c="destinations:\n  d: {kind: webhok, url: ftp://x, audiences: [bigg], effects: [merge], enabled: yes}\n",
    )
    assert [(p.file, p.line, p.column, p.suggestion) for p in found] == [
        ("a.yaml", 2, 29, '"30d"'),
        ("a.yaml", 3, 8, "orders"),
        ("a.yaml", 4, 1, "sources"),
        ("b.yaml", 2, 3, ""),
        ("c.yaml", 2, 13, "webhook"),
        ("c.yaml", 2, 26, "https://x"),
        ("c.yaml", 2, 47, "big"),
        ("c.yaml", 2, 64, "merged"),
        ("c.yaml", 2, 81, "true"),
    ]


@pytest.mark.parametrize(
    ("hosts", "suggestion"),
    [
        ("10.0.0.0/8", "10.0.0.0"),
        ("http://hooks.internal/x", "hooks.internal"),
        ("hooks.internal:8080", "hooks.internal"),
        ("'*'", ""),
        ("'*.internal'", ""),
        ("''", ""),
    ],
)
def test_a_private_host_is_one_host(tmp_path: Path, hosts: str, suggestion: str) -> None:
    """Networks, ports, URLs and patterns are refused, with the host that was meant where there is one."""
    (problem,) = problems(tmp_path, a=f"allow_private_hosts: [{hosts}]\n")
    assert (problem.line, problem.suggestion) == (1, suggestion)
    assert "one host" in problem.message


def test_a_workspace_has_one_time_zone_that_exists(tmp_path: Path) -> None:
    """An unknown zone is shown with the nearest, a second one with the place of the first."""
    (problem,) = problems(tmp_path, a="timezone: Europe/Berln\n")
    assert (problem.line, problem.column, problem.suggestion) == (1, 11, "Europe/Berlin")
    (problem,) = problems(tmp_path, a="timezone: UTC\n", b="sources: [x]\ntimezone: Asia/Tokyo\n")
    assert (problem.file, problem.line, problem.code) == ("b.yaml", 2, "duplicate")
    assert "a.yaml, line 1" in problem.message


@pytest.mark.parametrize(
    "flag", ["allow_private: true", "allow_private: false", "allow_private_hosts: [hooks.internal]"]
)
def test_a_destination_does_not_speak_of_private_hosts_itself(tmp_path: Path, flag: str) -> None:
    """The old flag is refused at its place, with the line that takes its place."""
    text = f"destinations:\n  d:\n    url: http://hooks.internal:80/x\n    events: '*'\n    {flag}\n"
    (problem,) = problems(tmp_path, a=text)
    assert (problem.line, problem.column, problem.code) == (5, 5, "unknown_key")
    assert problem.suggestion == "allow_private_hosts: [hooks.internal]"
    assert "at the top of a file" in problem.message


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "10.1.2.3", "[::1]", "169.254.169.254"])
def test_a_private_url_without_its_host_named_is_a_mistake(tmp_path: Path, host: str) -> None:
    """Nothing would ever be sent there: said when it is written, and not in a list of failures later."""
    url = f"destinations:\n  d: {{url: 'http://{host}:8/x', events: '*'}}\n"
    (problem,) = problems(tmp_path, a=url)
    assert problem.suggestion == f"allow_private_hosts: [{host.strip('[]')}]"
    assert not problems(tmp_path, a=url, b=f"allow_private_hosts: ['{host}']\n")


def test_a_problem_shows_its_line_with_a_caret(tmp_path: Path) -> None:
    """What is printed can be read without opening the file."""
    (problem,) = problems(tmp_path, a="traits:\n  a: events\n  b: evnts > 3\n")
    assert problem.show() == (
        "a.yaml:3:6: there is no trait `evnts`; what events declare is `traits.evnts`\n"
        "      b: evnts > 3\n"
        "         ^^^^^\n"
        "    did you mean `events`?"
    )


def test_an_unreadable_file_hides_no_mistake_of_another(tmp_path: Path) -> None:
    """Only names that may stand in the unreadable file are not called unknown."""
    found = problems(tmp_path, a="traits: [", b="traits:\n  x: a +\n  y: unknown\n")
    assert [(p.file, p.code) for p in found] == [("a.yaml", "yaml"), ("b.yaml", "syntax")]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("traits:\n  a: &x 1\n", "anchors"),
        ("traits:\n  a: *x\n", "aliases"),
        ("traits:\n  a: !!python/object:os.system 1\n", "tags"),
        ("traits:\n\ta: 1\n", "tabs"),
        ('traits:\n  a: traits.x == "a: b"\n', "quotes"),
        ("a: 1\n---\nb: 2\n", "one document"),
        ("traits:\n  a: " + "[" * 50, "too deeply"),
        ("traits: 3\n", "lines"),
        ("traits:\n  a: yes\n", "no expression"),
        ("traits:\n  a:\n", "has no expression"),
        ("traits:\n  a: {expression: 1, expression: 2}\n", "twice"),
        ("destinations:\n  d: {url: 'https://x.example'}\n", "gets nothing"),
        ("destinations:\n  d: {events: '*'}\n", "no `url`"),
        ("sources: [Web]\n", "name of a source"),
        ("", "x"),
    ],
)
def test_what_yaml_allows_and_we_do_not(tmp_path: Path, text: str, says: str) -> None:
    """Each trap of YAML has an answer that says what to do."""
    found = problems(tmp_path, a=text)
    if text:
        assert says in found[0].message, found[0].show()
    else:
        assert not found


def test_bytes_that_are_not_utf8(tmp_path: Path) -> None:
    """The place of the first bad byte is shown."""
    (tmp_path / "a.yaml").write_bytes(b"traits:\n  a: \xff\n")
    (problem,) = read_workspace(tmp_path)[1]
    assert (problem.line, problem.column, problem.message) == (2, 6, "this is not UTF-8")


def test_an_empty_directory_and_none_are_told_apart(tmp_path: Path) -> None:
    """A typo in the path is not an empty workspace."""
    assert "no .yaml" in read_workspace(tmp_path)[1][0].message
    missing = read_workspace(tmp_path / "x")[1][0]
    assert missing.show() == f"{tmp_path / 'x'}: there is no such directory"


def test_loading_raises_with_text_and_data(tmp_path: Path) -> None:
    """`problems` is for people, `found` for `--json`."""
    (tmp_path / "a.yaml").write_text("traits:\n  a: b\n")
    with pytest.raises(DefinitionError) as caught:
        load_workspace(tmp_path)
    assert isinstance(caught.value, WorkspaceError)
    assert caught.value.problems == [problem.show() for problem in caught.value.found]


@pytest.mark.parametrize(
    "source",
    [
        "a: x + yy\n",
        "a: 'x + \"it''s\" + yy'\n",
        'a: "x + \\"\\u00e4\\" + yy"\n',
        "a: >-\n   x\n   + yy\n",
        "a: | # remark\n   x +\n     yy\n",
        "a: x\n  + yy\n",
        'a: "x \\\n    + yy"\n',
    ],
)
def test_a_column_of_an_expression_is_found_in_the_file(source: str) -> None:
    """Whatever the style of the scalar, the caret stands under the name."""
    tree = read_tree(source)
    assert isinstance(tree, Pairs)
    value = tree.pairs[0][1]
    assert isinstance(value, Text)
    offset = offset_in(source, value, value.value.index("yy"))
    assert source[offset : offset + 2] == "yy"


@pytest.mark.parametrize(
    ("url", "right"),
    [("https://a.example/x", True), ("http://127.0.0.1:8099/hook", True), ("ftp://a", False), ("a.example", False),
     ("https://", False), ("https://u:p@a.example", False), ("http://a:99999", False), ("http://[::1", False)],
)  # fmt: skip
def test_urls(url: str, *, right: bool) -> None:
    """Only http and https with a host, and no password in the open."""
    assert (wrong_url(url)[0] == "") == right


def test_the_difference_names_what_changes() -> None:
    """New, gone and different definitions, one line each; the same twice is nothing."""
    old = Definitions(
        traits=(Trait("a", "1"), Trait("b", "1"), Trait("c", "events  > 1")),
        destinations=(Destination("d", url="http://x"),),
        allow_private_hosts=("a", "b"),
    )
    new = Definitions(
        version=4,
        traits=(Trait("c", "events > 1"), Trait("a", "2")),
        audiences=(Audience("v", "a > 1"),),
        destinations=(Destination("d", url="http://x", events=("*",)),),
        timezone="Asia/Tokyo",
        allow_private_hosts=("b", "c"),
    )
    assert difference(old, new) == [
        "~ trait a: expression 1 → 2",
        "- trait b: 1",
        "~ trait c: expression written differently, with the same meaning",
        "+ audience v: a > 1",
        "~ destination d: events [] → [*]",
        "~ timezone UTC → Asia/Tokyo",
        "+ private host c",
        "- private host a",
    ]
    assert changes(new, new) == []
