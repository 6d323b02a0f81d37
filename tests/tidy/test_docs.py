"""Generated pages say what the code says; links lead somewhere; what the docs tell people to type is there."""

import ast
import importlib.util
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from onefold.cli.app import build
from onefold.language.functions import FUNCTIONS
from onefold.language.nodes import AGGREGATES, BUILTINS, QUANTIFIERS
from onefold.language.reading.check import check_expression
from onefold.language.reading.parse import CONDITIONS, INSTANTS, parse_expression
from onefold.runtime.defining.workspace import load_workspace
from onefold.testing.reference.values import Person, evaluate
from tests.tidy.source import ROOT, texts

TUTORIAL = ROOT / "docs" / "tutorial.md"
TYPED = (ROOT / "README.md", TUTORIAL)


def _shown_values() -> list[tuple[str, str]]:
    page = (ROOT / "docs" / "language.md").read_text()
    return re.findall(r"^\| `(.*?)` \| (true|false|missing) \|", page, re.MULTILINE)


def _generator() -> Any:
    found = importlib.util.spec_from_file_location("docs_generate", ROOT / "docs" / "generate.py")
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def test_generated_pages_are_up_to_date() -> None:
    """docs/settings.md, docs/cli.md and docs/errors.md are what `make docs` would write now."""
    stale = [
        name
        for name, text in _generator().pages().items()
        if not (ROOT / "docs" / name).exists() or (ROOT / "docs" / name).read_text() != text
    ]
    assert not stale, f"run `make docs`: {stale}"


def test_every_relative_link_resolves() -> None:
    """A link of a page leads to a file of the repository, and to a heading where it names one."""
    broken = [f"{page}: {link}" for page, text in texts() if page.suffix == ".md" for link in _broken(page, text)]
    assert not broken, broken


@pytest.mark.parametrize("page", TYPED, ids=lambda page: page.name)
def test_commands_in_the_docs_exist(page: Path) -> None:
    """Every `onefold …` that a page tells people to type names a verb and flags that the command has."""
    commands = list(_commands(page.read_text()))
    assert len(commands) > 5
    wrong = [f"{shlex.join(words)}: {why}" for words in commands if (why := _wrong(words))]
    assert not wrong, wrong


def test_the_tutorials_python_parses() -> None:
    """Each Python block of the tutorial is a program."""
    blocks = _blocks(TUTORIAL.read_text(), "python")
    assert blocks
    for block in blocks:
        ast.parse(block)


def test_the_tutorials_workspace_passes_the_checker(tmp_path: Path) -> None:
    """The YAML blocks, kept in the files that their first lines name, are a workspace without a mistake."""
    for block in _blocks(TUTORIAL.read_text(), "yaml"):
        name = block.splitlines()[0].removeprefix("# ")
        (tmp_path / Path(name).name).write_text(block)
    found = load_workspace(tmp_path)
    assert found.traits
    assert found.audiences
    assert found.destinations


def test_the_readmes_workspace_passes_the_checker(tmp_path: Path) -> None:
    """The YAML of the README and each whole workspace of the language's page are without a mistake."""
    pages = (ROOT / "README.md", ROOT / "docs" / "language.md")
    for n, block in enumerate(block for page in pages for block in _blocks(page.read_text(), "yaml")):
        (tmp_path / str(n)).mkdir()
        (tmp_path / str(n) / "shop.yaml").write_text(block)
        assert load_workspace(tmp_path / str(n)).traits


@pytest.mark.parametrize(("expression", "value"), _shown_values(), ids=str)
def test_the_languages_page_tells_the_truth(expression: str, value: str) -> None:
    """What docs/language.md says of missing values is what the reference computes."""
    node = parse_expression(expression)
    assert not isinstance(node, list), node
    person = Person((), {"plan": "pro", "age": "31", "tags": ["a"]})
    found = evaluate(node, person, 0)
    assert (found is None) if value == "missing" else (found is (value == "true"))


def test_the_examples_of_functions_pass_the_check() -> None:
    """What docs/language.md shows of each function is an expression, its traits and audiences aside."""
    page = (ROOT / "docs" / "language.md").read_text()
    section = page[page.index("## Functions") : page.index("## Aggregates")]
    examples = re.findall(r"^\| `.* \| `(.*)` \|$", section, re.MULTILINE)
    assert len(examples) > 30
    for example in examples:
        found = check_expression(example, {}, audience=False)
        wrong = (
            [problem.show() for problem in found if problem.code not in _OF_OTHERS] if isinstance(found, list) else []
        )
        assert not wrong, (example, wrong)


_OF_OTHERS = ("unknown_name", "wrong_scope")
"""What is wrong where a definition that is named is not there."""


def test_the_languages_page_names_every_function() -> None:
    """Each aggregate, function and built-in name stands in docs/language.md."""
    text = (ROOT / "docs" / "language.md").read_text()
    names = (*AGGREGATES, *FUNCTIONS, *BUILTINS, *QUANTIFIERS, *CONDITIONS, *INSTANTS, "case")
    missing = [name for name in names if not re.search(rf"`{name}[`(]", text)]
    assert not missing, missing


def _blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def _broken(page: Path, text: str) -> Iterator[str]:
    prose = re.sub(r"^```.*?^```|`[^`\n]*`", "", text, flags=re.DOTALL | re.MULTILINE)
    for link in re.findall(r"\]\(([^)\s]+)\)", prose):
        path, _, heading = link.partition("#")
        if re.match(r"[a-z]+:", link):
            continue
        target = (ROOT / page).parent / path if path else ROOT / page
        if not target.exists() or (heading and heading not in _headings(target.read_text())):
            yield link


def _headings(text: str) -> set[str]:
    titles = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def _commands(text: str) -> Iterator[list[str]]:
    """What stands on a line with a prompt, in `$( … )` too, or between backticks, as words after `onefold`."""
    lines = "\n".join(_blocks(text, "console")).replace("\\\n", " ").splitlines()
    typed = [line[2:] for line in lines if line.startswith("$ ")]
    typed += re.findall(r"`(onefold [^`…]*)`", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE))
    for line in typed:
        for part in re.split(r"&&|\||;|\$\(", line):
            words = shlex.split(part.replace('"', " ").replace(")", " "), comments=True)
            if words and words[0] == "onefold":
                yield words[1:]


def _wrong(words: list[str]) -> str:
    command: Any = get_command(build())
    rest = list(words)
    while hasattr(command, "commands"):
        verb = rest.pop(0) if rest else ""
        if verb not in command.commands:
            return f"there is no {verb!r}"
        command = command.commands[verb]
    known = {name for param in command.params for name in (*param.opts, *param.secondary_opts)}
    return ", ".join(f"there is no {word}" for word in rest if word.startswith("-") and word not in known)
