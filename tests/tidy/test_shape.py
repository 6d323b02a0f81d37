"""Sizes, imports, exceptions, and what tests may not do."""

import ast
import re

from tests.tidy.source import Module, definitions, imported, modules

FUNCTION_MAX_LINES = 70
MODULE_MAX_LINES = 600
REASON = re.compile(r"\bbecause\b|\bso that\b", re.IGNORECASE)
IMPURE = {"asyncio", "logging", "os", "socket", "time", "random", "secrets", "threading", "subprocess", "pathlib", "io"}
MOCKS = {"mock", "Mock", "MagicMock", "AsyncMock", "patch", "monkeypatch", "mocker"}
STILL = ("tests/unit", "tests/property", "tests/simulation")


def test_long_functions_say_why() -> None:
    """A function over 70 lines gives the reason in its docstring or its first comment."""
    long = [
        f"{m.at(node)} {node.name}: {_length(node)} lines"
        for m in modules("src", "tests", "bench")
        for node in definitions(m)
        if not isinstance(node, ast.ClassDef) and _length(node) > FUNCTION_MAX_LINES
        if not REASON.search("\n".join(m.lines[node.lineno - 1 : node.lineno + 12]))
    ]
    assert not long, "\n".join(long)


def test_long_modules_say_why() -> None:
    """A module over 600 lines gives the reason in its docstring."""
    long = [
        f"{m.path}: {len(m.lines)} lines"
        for m in modules("src", "tests", "bench")
        if len(m.lines) > MODULE_MAX_LINES and not REASON.search(ast.get_docstring(m.tree) or "")
    ]
    assert not long, "\n".join(long)


def test_no_broad_except() -> None:
    """Nobody catches everything, but to raise it again, or where the line says why behind its `noqa`."""
    broad = [
        m.at(node)
        for m in modules("src", "tests", "bench")
        for node in ast.walk(m.tree)
        if isinstance(node, ast.ExceptHandler) and _broad(node)
        if not _raises_again(node) and not re.search(r"noqa: BLE001\W+\w+ \w+", m.lines[node.lineno - 1])
    ]
    assert not broad, broad


def test_the_core_touches_nothing() -> None:
    """`core/`, `language/` and `model/` import neither clock nor file, socket, logger or chance."""
    found = [
        f"{m.at(node)} imports {name}"
        for m in modules("src/onefold/core", "src/onefold/language", "src/onefold/model")
        for node, name in imported(m)
        if name.split(".")[0] in IMPURE or name == "onefold.clock"
    ]
    assert not found, "\n".join(found)


def test_imports_are_not_hidden() -> None:
    """A function imports only what is an optional extra; our own modules are imported where a reader looks."""
    found = [
        f"{m.at(node)} imports {name}"
        for m in modules("src")
        for node, name in imported(m)
        if name.split(".")[0] == "onefold" and node.col_offset > 0 and not _for_types(m, node)
        if "lazily:" not in m.lines[node.lineno - 1]
    ]
    assert not found, "\n".join(found)


def test_unit_tests_neither_mock_nor_wait() -> None:
    """Unit, property and simulation tests use real parts with a clock moved by hand: no mocks, patches or sleeps."""
    found = []
    for module in modules(*STILL):
        for node in ast.walk(module.tree):
            name = node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
            name = node.arg if isinstance(node, ast.arg) else name
            if name in MOCKS or name == "sleep":
                found.append(f"{module.at(node)} {name}")
    assert not found, "\n".join(found)


def _length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def _broad(handler: ast.ExceptHandler) -> bool:
    if handler.type is None:
        return True
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(isinstance(kind, ast.Name) and kind.id in {"Exception", "BaseException"} for kind in kinds)


def _raises_again(handler: ast.ExceptHandler) -> bool:
    last = handler.body[-1]
    return isinstance(last, ast.Raise) and last.exc is None


def _for_types(module: Module, node: ast.stmt) -> bool:
    return any(
        isinstance(block, ast.If) and "TYPE_CHECKING" in ast.unparse(block.test) and node in block.body
        for block in ast.walk(module.tree)
    )
