"""The repository's files, parsed once, for the rules of this folder."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "onefold"
_SKIPPED = {"node_modules", "__pycache__", "results", ".venv", "target"}
_TEXT = {".py", ".md", ".yaml", ".yml", ".toml", ".js", ".json", ".sh", ".html", ".css", ""}

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


class Module(NamedTuple):
    """A Python file: its path from the root, its lines, its tree."""

    path: Path
    lines: list[str]
    tree: ast.Module

    def at(self, node: ast.AST) -> str:
        """Where a node is, as an editor can open it."""
        return f"{self.path}:{getattr(node, 'lineno', 1)}"


@cache
def modules(*folders: str) -> tuple[Module, ...]:
    """The Python modules under these folders of the repository, by path."""
    return tuple(_module(path) for folder in folders for path in sorted((ROOT / folder).rglob("*.py")) if _kept(path))


def texts() -> Iterator[tuple[Path, str]]:
    """All text files that we write, with their path from the root."""
    for top in sorted(ROOT.iterdir()):
        if top.name in _SKIPPED or (top.name.startswith(".") and top.name != ".ci"):
            continue
        for path in sorted(top.rglob("*")) if top.is_dir() else [top]:
            if path.is_file() and path.suffix in _TEXT and _kept(path) and path.name != "package-lock.json":
                yield path.relative_to(ROOT), path.read_text(errors="replace")


def definitions(module: Module) -> Iterator[Definition]:
    """Every function, method and class of a module."""
    for node in ast.walk(module.tree):
        if isinstance(node, Definition):
            yield node


def public(module: Module) -> Iterator[Definition]:
    """Functions, classes and methods that others may use: no name on the way to them starts with `_`."""
    pending: list[ast.Module | ast.ClassDef] = [module.tree]
    while pending:
        for node in pending.pop().body:
            if isinstance(node, Definition) and not node.name.startswith("_"):
                yield node
                if isinstance(node, ast.ClassDef):
                    pending.append(node)


def imported(module: Module) -> Iterator[tuple[ast.stmt, str]]:
    """Every name of a module that this one imports, wherever the import stands."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            yield from ((node, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node, node.module


def _module(path: Path) -> Module:
    text = path.read_text()
    return Module(path.relative_to(ROOT), text.splitlines(), ast.parse(text, str(path)))


def _kept(path: Path) -> bool:
    return not _SKIPPED & set(path.relative_to(ROOT).parts)
