"""One role in this process: what the supervisor starts, and what the verbs of the roles start.

A module of its own that a process can run (`python -m onefold.runtime.role worker --index 0`), so that a role loads
what it needs and none of the command line.
"""

import argparse
import os
import sys
from importlib import import_module

from onefold.errors import OnefoldError, SettingsError
from onefold.runtime import logs, supervisor
from onefold.settings import Settings

ROLES = {
    "http": "onefold.server.app:run",
    "collect": "onefold.server.app:run_collect",
    "api": "onefold.server.app:run_api",
    "worker": "onefold.runtime.worker:run",
    "deliver": "onefold.runtime.delivering.delivery:run",
    "history": "onefold.runtime.history.writing:run",
    "match": "onefold.runtime.identity.matching:run",
}
"""Role → the function that is that role's life; only the module that is wanted is loaded. `http`: collect and API."""

BACKGROUND = {"history", "match"}
"""Roles for which nobody waits: where all share one machine's processors, the others come first."""
BACKGROUND_NICE = 5
"""A third of another role's share while all want more than there is: enough to keep up, too little to be in the way."""
INDEXED = {"worker"}
"""Roles of which each process has its own share."""


def run(name: str, settings: Settings, index: int = 0) -> None:
    """Be this role until SIGTERM. Raises what the role raises; `SettingsError` for an unknown name."""
    if name not in ROLES:
        raise SettingsError(f"unknown role {name!r}; there are: {', '.join(ROLES)}")
    logs.configure(settings.log_level, role=f"{name}-{index}")
    module, _, function = ROLES[name].partition(":")
    live = getattr(import_module(module), function)
    live(settings, index) if name in INDEXED else live(settings)


def main() -> None:
    """Be the role that the supervisor asked for."""
    parser = argparse.ArgumentParser(prog="onefold.runtime.role", description=__doc__)
    parser.add_argument("name", choices=ROLES)
    parser.add_argument("--index", type=int, default=0)
    wanted = parser.parse_args()
    settings = supervisor.adopt()
    if wanted.name in BACKGROUND:
        os.nice(BACKGROUND_NICE)
    try:
        run(wanted.name, settings, wanted.index)
    except SettingsError as error:
        supervisor.log.error(str(error), role=wanted.name)
        sys.exit(supervisor.EXIT_SETTINGS)
    except OnefoldError as error:
        supervisor.log.error(str(error), role=wanted.name, code=error.code)
        sys.exit(1)


if __name__ == "__main__":
    main()
