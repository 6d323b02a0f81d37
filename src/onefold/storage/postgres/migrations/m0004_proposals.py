"""The tables of proposed links (`proposals_tables`)."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_TABLES = """
CREATE TABLE proposals (
    a bigint,
    b bigint,
    score double precision NOT NULL,
    household double precision NOT NULL,
    standing text COLLATE "C" NOT NULL,
    at_ms bigint NOT NULL,
    by text COLLATE "C" NOT NULL,
    PRIMARY KEY (a, b)
);
CREATE INDEX proposals_by_b ON proposals (b);
CREATE INDEX proposals_by_score ON proposals (standing, score DESC, a, b);
CREATE TABLE matching (one integer PRIMARY KEY, cursor bigint NOT NULL, weights bytea);
"""


def upgrade() -> None:
    """Make them."""
    op.execute(_TABLES)
