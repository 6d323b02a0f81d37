"""Generated pages of the reference say what the code says."""

import importlib.util
from typing import Any

from tests.tidy.source import ROOT


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
