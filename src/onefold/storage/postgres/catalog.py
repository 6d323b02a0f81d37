"""The catalog on a server of the PostgreSQL protocol: the same questions as in a file, over connections to it.

Changes take turns by the generation's row, which each of them changes first (`catalog_sql`); what they read after that
is what the one before them has left, as every statement sees what was committed before it. Reads are single statements.
"""

from typing import NamedTuple

from onefold.clock import Clock
from onefold.storage.catalog_sql import SqlCatalog
from onefold.storage.postgres import driver, migration
from onefold.storage.postgres.driver import DEFAULT_WORKSPACE, Address, Timeouts
from onefold.storage.postgres.sql import SqlServer


class Options(NamedTuple):
    """How to reach the server."""

    role: str = "onefold catalog"
    """Shown as application_name in `pg_stat_activity`."""
    timeouts: Timeouts = Timeouts()


class PostgresCatalog(SqlCatalog):
    """The catalog of a workspace. Any number of handles may be open; each has a few connections."""

    tells_at_once = False

    def __init__(
        self, url: str, clock: Clock, workspace: str = DEFAULT_WORKSPACE, *, options: Options | None = None
    ) -> None:
        """Open, making or migrating the workspace's schema.

        Raises `TooNew`, having written nothing, where a newer Onefold made it, and as `driver.connect` does.
        """
        found = options or Options()
        address = Address(url, driver.schema_of(workspace), found.role, found.timeouts)
        migration.migrate(url, address.schema)
        super().__init__(SqlServer(address, "catalog"), clock)
