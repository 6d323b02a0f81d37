"""The catalog on a real PostgreSQL keeps the port's promises; two appliers race; the server is killed."""

from collections.abc import Iterator
from contextlib import ExitStack, closing

import pytest

from onefold.storage.catalog_postgres import PostgresCatalog
from onefold.storage.postgres import Address
from onefold.testing.conformance.catalog import CatalogConformance, OpenCatalog
from tests.services.conftest import SCHEMA

pytestmark = pytest.mark.services


class TestPostgresCatalog(CatalogConformance):
    @pytest.fixture
    def open_catalog(self, postgres_url: str) -> Iterator[OpenCatalog]:
        with ExitStack() as stack:
            yield lambda clock: stack.enter_context(closing(PostgresCatalog(Address(postgres_url, SCHEMA), clock)))
