"""Which engines stand behind each port, in an explicit list; the conformance suites run over the same list."""

from importlib import import_module
from typing import Any

from onefold.errors import SettingsError

LOGS = {"lmdb": "onefold.storage.log_lmdb", "kafka": "onefold.storage.log_kafka"}
STATES = {"lmdb": "onefold.storage.state_lmdb", "postgres": "onefold.storage.state_postgres"}
DELIVERIES = {"lmdb": "onefold.storage.deliveries_lmdb", "postgres": "onefold.storage.deliveries_postgres"}
CATALOGS = {"sqlite": "onefold.storage.catalog_sqlite", "postgres": "onefold.storage.catalog_postgres"}
DESTINATIONS = {"webhook": "onefold.destinations.webhook"}


def engine(kind: dict[str, str], name: str) -> Any:
    """The module of an engine or connector. Raises `SettingsError` with the names there are."""
    if name not in kind:
        raise SettingsError(f"unknown engine {name!r}; there are: {', '.join(sorted(kind))}")
    return import_module(kind[name])
