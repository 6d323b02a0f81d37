"""The table of who lives together (`proposals_tables`)."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_TABLES = """
CREATE TABLE ties (
    a bigint,
    b bigint,
    together double precision NOT NULL,
    PRIMARY KEY (a, b)
);
CREATE INDEX ties_by_b ON ties (b);
"""


def upgrade() -> None:
    """Make it."""
    op.execute(_TABLES)
