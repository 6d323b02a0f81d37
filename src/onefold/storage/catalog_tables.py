"""The catalog's tables, the same on every database that it lies in."""

import sqlalchemy as sa

Text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
"""Text in the order of its code points, whatever the database thinks of letters."""

SCHEMA = 1
"""The version of these tables that this code reads and writes."""
GENERATION = "generation"
"""The name of the number that grows with every change."""
BACKFILL_PAUSED = "backfill_paused"
"""The name of the number that is 1 while nothing is to be computed over history."""

metadata = sa.MetaData()
numbers = sa.Table(
    "numbers",
    metadata,
    sa.Column("name", Text, primary_key=True),
    sa.Column("value", sa.BigInteger, nullable=False),
)
sources = sa.Table(
    "sources",
    metadata,
    sa.Column("name", Text, primary_key=True),
    sa.Column("kind", Text, nullable=False),
    sa.Column("enabled", sa.Boolean, nullable=False),
    sa.Column("write_key", Text, nullable=False, unique=True),
    sa.Column("created_at_ms", sa.BigInteger, nullable=False),
)
secret_keys = sa.Table(
    "secret_keys",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", Text, nullable=False),
    sa.Column("digest", sa.LargeBinary, nullable=False, unique=True),
    sa.Column("hint", Text, nullable=False),
    sa.Column("scopes", sa.JSON, nullable=False),
    sa.Column("created_at_ms", sa.BigInteger, nullable=False),
    sa.Column("revoked_at_ms", sa.BigInteger),
)
definitions = sa.Table(
    "definitions",
    metadata,
    sa.Column("version", sa.Integer, primary_key=True),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("author", Text, nullable=False),
    sa.Column("created_at_ms", sa.BigInteger, nullable=False),
)
signing_secrets = sa.Table(
    "signing_secrets",
    metadata,
    sa.Column("destination", Text, primary_key=True),
    sa.Column("secret", Text, nullable=False),
)
old_signing_secrets = sa.Table(
    "old_signing_secrets",
    metadata,
    sa.Column("destination", Text, primary_key=True),
    sa.Column("secret", Text, primary_key=True),
    sa.Column("until_ms", sa.BigInteger, nullable=False),
)
