"""The tables of proposed links, the same on every database."""

import sqlalchemy as sa

metadata = sa.MetaData()
proposals = sa.Table(
    "proposals",
    metadata,
    sa.Column("a", sa.BigInteger, primary_key=True),
    sa.Column("b", sa.BigInteger, primary_key=True),
    sa.Column("score", sa.Float(53), nullable=False),
    sa.Column("household", sa.Float(53), nullable=False),
    sa.Column("standing", sa.Text, nullable=False),
    sa.Column("at_ms", sa.BigInteger, nullable=False),
    sa.Column("by", sa.Text, nullable=False),
    sa.Index("proposals_by_b", "b"),
    sa.Index("proposals_by_score", "standing", sa.text("score DESC"), "a", "b"),
)
ties = sa.Table(
    "ties",
    metadata,
    sa.Column("a", sa.BigInteger, primary_key=True),
    sa.Column("b", sa.BigInteger, primary_key=True),
    sa.Column("together", sa.Float(53), nullable=False),
    sa.Index("ties_by_b", "b"),
)
"""Who lives together."""
matching = sa.Table(
    "matching",
    metadata,
    sa.Column("one", sa.Integer, primary_key=True),
    sa.Column("cursor", sa.BigInteger, nullable=False),
    sa.Column("weights", sa.LargeBinary),
)
"""One row: how far, and by which weights."""
