"""Proposed links on a server of the PostgreSQL protocol."""

from onefold.clock import Clock
from onefold.storage.postgres import driver, migration
from onefold.storage.postgres.driver import DEFAULT_WORKSPACE, Address, Timeouts
from onefold.storage.postgres.sql import SqlServer
from onefold.storage.proposals_sql import SqlProposals


class PostgresProposals(SqlProposals):
    """The proposals of a workspace. Any number of handles may be open; each has a few connections."""

    def __init__(
        self, url: str, clock: Clock, workspace: str = DEFAULT_WORKSPACE, *, timeouts: Timeouts | None = None
    ) -> None:
        """Open, making or migrating the workspace's schema. Raises `TooNew`, and as `driver.connect` does."""
        address = Address(url, driver.schema_of(workspace), "onefold matching", timeouts or Timeouts())
        migration.migrate(url, address.schema)
        super().__init__(SqlServer(address, "proposals"), clock)
