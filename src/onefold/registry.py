"""Which connectors there are, in an explicit list; which engine is behind a port `storage/place.py` says."""

from importlib import import_module
from typing import Any

from onefold.errors import SettingsError

DESTINATIONS = {"webhook": "onefold.destinations.webhook"}


def engine(kind: dict[str, str], name: str) -> Any:
    """The module of a connector. Raises `SettingsError` with the names there are."""
    if name not in kind:
        raise SettingsError(f"unknown kind {name!r}; there are: {', '.join(sorted(kind))}")
    return import_module(kind[name])
