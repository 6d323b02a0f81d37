"""Names, opening sentences and docstrings."""

import ast
import re
import sys

from onefold import errors
from tests.tidy.source import PACKAGE, ROOT, definitions, modules, public, texts

FORBIDDEN_NAMES = {"utils", "util", "misc", "helpers", "helper", "common", "manager", "managers", "stuff"}
DOMAIN_WORDS = {"profile"}
"""Our word for a person; the standard library's profiler of that name is imported by nobody here."""


def test_every_module_opens_with_a_sentence() -> None:
    """Each module of the product, the tests and the benchmarks says in its first line why it exists."""
    silent = [str(m.path) for m in modules("src", "tests", "bench") if m.lines and not ast.get_docstring(m.tree)]
    assert not silent, f"no module docstring: {silent}"


def test_everything_public_has_a_docstring() -> None:
    """Each public class, function and method of the product says what its types cannot."""
    silent = [m.at(node) + " " + node.name for m in modules("src") for node in public(m) if not _documented(node)]
    assert not silent, "\n".join(silent)


def test_every_test_says_what_is_promised() -> None:
    """Each test has a docstring of one sentence."""
    silent = [
        f"{m.at(node)} {node.name}"
        for m in modules("tests")
        for node in definitions(m)
        if node.name.startswith("test_") and not ast.get_docstring(node)
    ]
    assert not silent, "\n".join(silent)


def test_files_are_named_by_the_domain() -> None:
    """No module is called after nothing in particular, nor like one of the standard library."""
    taken = (FORBIDDEN_NAMES | set(sys.stdlib_module_names)) - DOMAIN_WORDS - {"__main__", "__init__"}
    bad = [str(path.relative_to(ROOT)) for path in PACKAGE.rglob("*.py") if path.stem in taken]
    bad += [str(path.relative_to(ROOT)) for path in PACKAGE.rglob("*") if path.is_dir() and path.name in taken]
    assert not bad, bad


def test_architecture_names_every_room() -> None:
    """Each top folder of the package is on the map."""
    text = (ROOT / "ARCHITECTURE.md").read_text()
    rooms = [path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()]
    missing = [room for room in rooms if f"{room}/" not in text]
    assert not missing, f"ARCHITECTURE.md does not name {missing}"


def test_every_error_code_is_in_the_docs() -> None:
    """A code in an answer or in `--json` can be looked up."""
    text = "\n".join(path.read_text() for path in (ROOT / "docs").rglob("*.md"))
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.OnefoldError)]
    missing = sorted({kind.code for kind in kinds if f"`{kind.code}`" not in text})
    assert not missing, f"not in docs/: {missing}; `make docs` writes docs/errors.md"


def test_work_left_over_has_an_issue() -> None:
    """Work that is left for later is named with the issue that will do it."""
    mark = re.compile(r"\b(?:TO" + r"DO|FIX" + r"ME|XX" + r"X)\b(?!.*(?:#\d+|https?://))")
    found = [
        f"{path}:{n}" for path, text in texts() for n, line in enumerate(text.splitlines(), 1) if mark.search(line)
    ]
    assert not found, found


def test_no_path_of_a_machine() -> None:
    """Nothing that we write names a home directory or a build machine."""
    mark = re.compile(r"(?<![\w.:/])/(?:ro" + r"ot|home/\w+|Users/\w+|wo" + r"rk)/[\w.]")
    found = [
        f"{path}:{n}" for path, text in texts() for n, line in enumerate(text.splitlines(), 1) if mark.search(line)
    ]
    assert not found, found


def _documented(node: ast.AST) -> bool:
    assert isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    decorators = {ast.unparse(each) for each in node.decorator_list}
    return bool(ast.get_docstring(node)) or "overload" in decorators or any(d.endswith(".setter") for d in decorators)
