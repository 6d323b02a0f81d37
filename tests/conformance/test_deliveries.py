"""The embedded book of deliveries keeps the port's promises."""

from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from onefold.storage.embedded.deliveries import DeliveryStore
from onefold.testing.conformance.deliveries import DeliveriesConformance, OpenBook


class TestLmdbDeliveries(DeliveriesConformance):
    @pytest.fixture
    def open_book(self, tmp_path: Path) -> Iterator[OpenBook]:
        with ExitStack() as stack:
            yield lambda: stack.enter_context(closing(DeliveryStore(tmp_path / "deliveries")))
