"""The tables of the state (`state`)."""

from alembic import op

from onefold.storage.postgres import driver

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
CREATE TABLE messages (fingerprint uuid NOT NULL, at_ms bigint NOT NULL);
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
_MESSAGES = "CREATE INDEX messages_fingerprint ON messages (fingerprint)"
_GENUINE = """
CREATE INDEX messages_fingerprint ON messages USING hash (fingerprint);
ALTER TABLE messages REPLICA IDENTITY FULL;
ALTER TABLE profiles SET (fillfactor = 70);
ALTER TABLE head SET (fillfactor = 10);
ALTER TABLE cursors SET (fillfactor = 10);
ALTER TABLE sizes SET (fillfactor = 10);
ALTER TABLE counts SET (fillfactor = 10);
"""
"""Hashes: almost every look-up is for a message that is not there, and takes half of what a tree does. Free room in
pages: rows that change with every commit, or almost, are replaced within their page, and no index is written."""
_COMPRESSED = "ALTER TABLE {} ALTER COLUMN data SET COMPRESSION lz4"
"""Where the server was built with it: a fifth of what its own compression costs, and the log it writes is as small."""


def upgrade() -> None:
    """Make them."""
    bound = op.get_bind()
    op.execute(_TABLES)
    genuine = driver.says_genuine(str(bound.exec_driver_sql("SELECT version()").scalar_one()))
    op.execute(_GENUINE if genuine else _MESSAGES)
    if genuine and bound.exec_driver_sql(_HAS_LZ4).first():
        for table in ("profiles", "effects", "touched"):
            op.execute(_COMPRESSED.format(table))


_HAS_LZ4 = "SELECT 1 FROM pg_settings WHERE name = 'default_toast_compression' AND 'lz4' = ANY(enumvals)"
