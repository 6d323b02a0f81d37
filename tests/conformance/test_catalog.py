"""The embedded catalog keeps the port's promises."""

from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from onefold.storage.embedded.catalog import SqliteCatalog
from onefold.testing.conformance.catalog import CatalogConformance, OpenCatalog


class TestSqliteCatalog(CatalogConformance):
    @pytest.fixture
    def open_catalog(self, tmp_path: Path) -> Iterator[OpenCatalog]:
        with ExitStack() as stack:
            yield lambda clock: stack.enter_context(closing(SqliteCatalog(tmp_path / "catalog.sqlite", clock)))
