"""The book of deliveries on a real PostgreSQL: the port's promises, also where its holder or its server breaks off."""

from collections.abc import Iterator
from contextlib import ExitStack, closing

import pytest

from onefold.storage.deliveries_postgres import PostgresDeliveries
from onefold.storage.postgres import Address
from onefold.testing.conformance.deliveries import DeliveriesConformance, OpenBook
from tests.services.conftest import SCHEMA

pytestmark = pytest.mark.services


class TestPostgresDeliveries(DeliveriesConformance):
    @pytest.fixture
    def lease_s(self) -> float | None:
        return 1.0

    @pytest.fixture
    def open_book(self, postgres_url: str, lease_s: float) -> Iterator[OpenBook]:
        with ExitStack() as stack:
            yield lambda: stack.enter_context(
                closing(PostgresDeliveries(Address(postgres_url, SCHEMA), lease_s=lease_s))
            )
