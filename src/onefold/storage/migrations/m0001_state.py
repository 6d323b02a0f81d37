"""The tables of the state (`state_postgres`)."""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_TABLES = """
CREATE TABLE head (
    one boolean PRIMARY KEY CHECK (one),
    number bigint NOT NULL,
    generation_ms bigint NOT NULL,
    forgotten_ms bigint NOT NULL
);
CREATE TABLE profiles (profile bigint PRIMARY KEY, version bigint NOT NULL, data bytea NOT NULL);
CREATE TABLE redirects (profile bigint PRIMARY KEY, survivor bigint NOT NULL);
CREATE TABLE identifiers (identifier bytea PRIMARY KEY, profile bigint NOT NULL);
CREATE TABLE timers (home smallint, due_ms bigint, profile bigint, PRIMARY KEY (home, due_ms, profile));
CREATE TABLE members (
    audience text COLLATE "C", profile bigint, entered_ms bigint NOT NULL, PRIMARY KEY (audience, profile)
);
CREATE TABLE sizes (audience text COLLATE "C" PRIMARY KEY, size bigint NOT NULL);
CREATE TABLE effects (number bigint PRIMARY KEY, "partition" smallint NOT NULL, data bytea NOT NULL);
CREATE TABLE touched (number bigint PRIMARY KEY, data bytea NOT NULL);
CREATE TABLE messages (fingerprint uuid PRIMARY KEY, at_ms bigint NOT NULL);
CREATE INDEX messages_at_ms ON messages (at_ms);
CREATE TABLE quarantine (
    "partition" smallint, "position" bigint, data bytea NOT NULL, PRIMARY KEY ("partition", "position")
);
CREATE TABLE counts (
    "partition" smallint, name text COLLATE "C", amount bigint NOT NULL, PRIMARY KEY ("partition", name)
);
CREATE TABLE cursors (
    "partition" smallint PRIMARY KEY,
    log_offset bigint NOT NULL,
    now_ms bigint NOT NULL,
    forgotten_ms bigint NOT NULL,
    profiles bigint NOT NULL,
    data bytea NOT NULL
);
CREATE TABLE rules (fingerprint bigint PRIMARY KEY, data bytea NOT NULL);
"""


def upgrade() -> None:
    """Make them."""
    op.execute(_TABLES)
