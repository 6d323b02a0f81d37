"""Identity on the command line, over a real data directory: rules, hot values, and what people say."""

import re
from contextlib import closing
from pathlib import Path

import pytest

from onefold.clock import SystemClock
from onefold.model.definitions import Definitions
from onefold.runtime.folding.fold import Folding
from onefold.runtime.folding.programs import Programs
from onefold.settings import Settings
from onefold.storage.place import Place
from onefold.testing import identity_stories as stories
from onefold.testing.world import START_MS, World, identify, track
from tests.tidy.source import ROOT
from tests.unit.cli.test_command import run, run_json

WORKSPACE = """
identity:
  types:
    card: {from: [properties.card], normalise: digits, limit: 3 per year}
    email: {}
  hot: 2
"""


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    """`--data DIR` of a directory whose workspace is applied, and where some people share an address."""
    (tmp_path / "workspace").mkdir()
    (tmp_path / "workspace" / "shop.yaml").write_text(WORKSPACE)
    return ["--data", str(tmp_path / "data")]


def fold(words: list[str], *events: dict[str, object]) -> None:
    """Send events and fold all that is in the log."""
    place, clock = Place.open(Settings(data=Path(words[1]), partitions=1)), SystemClock()
    with (
        closing(place.catalog(clock)) as catalog,
        closing(place.log_writer(clock)) as writer,
        closing(place.log_reader()) as reader,
        closing(place.state()) as state,
    ):
        world = World()
        world.writer, world.reader, world.state, world.now_ms = writer, reader, state, START_MS
        world.folding = Folding(reader, state, Programs(catalog.definitions))
        if events:
            world.define(catalog.definitions())
            world.send(*events)
        world.fold()


def test_rules_and_peoples_word(capsys: pytest.CaptureFixture[str], words: list[str], tmp_path: Path) -> None:
    """What is applied is shown as it is in force; who is said to be one person is one after the next fold."""
    fold(words)
    assert "+ identity type card" in run(capsys, "apply", str(tmp_path / "workspace"), "--yes", *words)[1]
    crowd = [identify(anonymous=f"a{n}", traits={"email": "team@acme.com"}) for n in range(4)]
    fold(words, *crowd, track("A", user="u"), track("A", user="v"), track("B", user="w", properties={"card": "1 2"}))
    rules = run_json(capsys, "identity", "rules", *words)
    assert [each["name"] for each in rules["types"]] == ["card", "email"]
    assert "limit 3 per year" in run(capsys, "identity", "rules", *words)[1]
    assert [each["identifier"] for each in run_json(capsys, "identity", "hot", *words)] == ["email:team@acme.com"]
    assert "email:team@acme.com" in run(capsys, "identity", "hot", *words)[1]
    assert run(capsys, "identity", "link", "user_id:u", "card:12", *words)[0] == 0
    assert run(capsys, "identity", "never", "user_id:u", "user_id:v", *words)[0] == 0
    fold(words)
    u, v, w = (run_json(capsys, "profile", "show", f"user_id:{name}", *words)["id"] for name in "uvw")
    assert u == w != v
    shown = run(capsys, "profile", "show", "email:team@acme.com", *words)[1]
    assert "email:team@acme.com is hot" in shown
    assert "never user_id:v" in run(capsys, "profile", "show", "user_id:u", *words)[1]
    code, _, err = run(capsys, "identity", "link", "user_id:u", "user_id:nobody", *words)
    assert (code, "nobody has user_id:nobody" in err) == (1, True)


def test_identity_is_explained(capsys: pytest.CaptureFixture[str], words: list[str], tmp_path: Path) -> None:
    """Why two are one or not, how a profile came to be, and its picture in a file, for people and as JSON."""
    fold(words)
    (tmp_path / "workspace" / "shop.yaml").write_text(WORKSPACE.replace("hot: 2", "hot: 9"))
    run(capsys, "apply", str(tmp_path / "workspace"), "--yes", *words)
    fold(
        words,
        track("Viewed", anonymous="phone", message="m1"),
        identify(user="u", anonymous="laptop", traits={"email": "ann@acme.com"}, message="m2"),
        identify(anonymous="phone", traits={"email": "ann@acme.com"}, message="m3"),
        track("Viewed", user="v", anonymous="laptop", message="m4"),
    )
    run(capsys, "identity", "never", "user_id:u", "user_id:v", *words)
    fold(words)
    joined = run(capsys, "identity", "why", "anonymous_id:phone", "anonymous_id:laptop", *words)[1]
    assert "one person: a chain of 2 links joins them" in joined
    assert all(each in joined for each in ("message m2", "message m3", "email:ann@acme.com", "which ended prf_"))
    apart = run(capsys, "identity", "why", "user_id:u", "user_id:v", *words)[1]
    assert "are never one person" in apart
    assert "a person has one user id" in apart
    assert "message m4" in apart
    assert run_json(capsys, "identity", "why", "user_id:u", "user_id:v", *words)["one"] is False
    code, _, err = run(capsys, "identity", "why", "user_id:u", "user_id:nobody", *words)
    assert (code, "nobody has user_id:nobody" in err) == (1, True)
    told = run(capsys, "identity", "history", "user_id:u", *words)[1]
    assert "the profile began with anonymous_id:phone" in told
    assert "merged" in told
    kinds = [turn["kind"] for turn in run_json(capsys, "identity", "history", "user_id:u", *words)["turns"]]
    assert kinds == ["created", "created", "linked", "linked", "merged", "never"]
    picture = tmp_path / "ann.svg"
    assert "4 identifiers" in run(capsys, "identity", "graph", "user_id:u", "-o", str(picture), *words)[1]
    assert picture.read_text().startswith("<svg ")
    assert run(capsys, "identity", "graph", "user_id:u", *words)[1] == picture.read_text()
    assert len(run_json(capsys, "identity", "graph", "user_id:u", *words)["nodes"]) == 4


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """`--data DIR` of a directory in which the stories of docs/identity.md have happened."""
    path = tmp_path_factory.mktemp("shop")
    place, clock = Place.open(Settings(data=path, partitions=1)), SystemClock()
    with (
        closing(place.catalog(clock)) as catalog,
        closing(place.log_writer(clock)) as writer,
        closing(place.log_reader()) as reader,
        closing(place.state()) as state,
    ):
        world = World()
        world.writer, world.reader, world.state, world.now_ms = writer, reader, state, stories.BEGIN_MS
        world.folding = Folding(reader, state, Programs(catalog.definitions))
        world.define(catalog.save_definitions(Definitions(identity=stories.RULES), "ann"))
        for story in (stories.ann, stories.ben, stories.counter):
            story(world)
    return ["--data", str(path)]


def _blocks() -> list[tuple[str, list[str]]]:
    """Commands of docs/identity.md that explain, each with the lines that it prints there."""
    text = (ROOT / "docs" / "identity.md").read_text()
    explained = re.compile(
        r"^```console\n\$ onefold (identity (?:why|history) .*?)\n(.*?)^```", re.DOTALL | re.MULTILINE
    )
    blocks = explained.findall(text)
    return [(command, body.splitlines()) for command, body in blocks]


@pytest.mark.parametrize(("command", "lines"), _blocks(), ids=[command for command, _ in _blocks()])
def test_the_docs_show_what_is_printed(
    capsys: pytest.CaptureFixture[str], shop: list[str], command: str, lines: list[str]
) -> None:
    """Every line of the page is printed, in that order; of a long answer some are left out there."""
    printed = iter(run(capsys, *command.split(), *shop)[1].rstrip().splitlines())
    missing = [line for line in lines if line != "…" and line not in printed]
    assert not missing
    assert len(lines) > 8


def test_a_picture_is_that_of_the_docs(capsys: pytest.CaptureFixture[str], shop: list[str]) -> None:
    """Over the embedded engine and on the command line it is byte for byte what the page shows."""
    for name, who in stories.DRAWN.items():
        picture = (ROOT / "docs" / "images" / f"identity-{name}.svg").read_text()
        assert run(capsys, "identity", "graph", who, *shop)[1] == picture
