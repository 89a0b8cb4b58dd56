"""The tables that every app has: runs, stored files, chores; written by Core statements alone."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    Integer,
    MetaData,
    String,
    Table,
    Text,
)
from sqlalchemy.dialects.mysql import MEDIUMTEXT

# MySQL's plain TEXT ends at 64 KiB, and cuts what is longer.
LONG_TEXT = Text().with_variant(MEDIUMTEXT(), "mysql", "mariadb")

RUN_TABLE = "download_btn_run"
FILE_TABLE = "download_btn_file"
CHORE_TABLE = "download_btn_chore"


def run_table(metadata: MetaData) -> Table:
    """Declare the table of runs, once for each metadata."""
    if RUN_TABLE in metadata.tables:
        return metadata.tables[RUN_TABLE]
    return Table(
        RUN_TABLE,
        metadata,
        Column("id", String(32), primary_key=True),
        Column("btn_uid", String(32), nullable=False, index=True),
        Column("btn_name", String(255)),
        Column("btn_revision", String(32), nullable=False),
        Column("spot", String(32)),
        Column("owner", String(160), nullable=False, index=True),
        # While a run is live these two hold it unique: one run for a visitor's button and form,
        # and one of so many places that a visitor has. NULL afterwards, and NULLs never collide.
        Column("live_key", String(64), unique=True),
        Column("place_key", String(64), unique=True),
        Column("state", String(10), nullable=False, index=True),
        Column("attempt", Integer, nullable=False, default=0),
        Column("node", String(160)),
        Column("restart", Boolean, nullable=False, default=False),
        Column("plan", LONG_TEXT, nullable=False),
        Column("visit", LONG_TEXT, nullable=False),
        Column("signature", String(64), nullable=False),
        Column("stage", Text, nullable=False, default=""),
        Column("stage_no", Integer, nullable=False, default=0),
        Column("percent", Float),
        Column("seq", BigInteger, nullable=False, default=0),
        Column("message", Text),
        Column("reference", String(32)),
        Column("files", JSON, nullable=False, default=list),
        Column("fetched", JSON, nullable=False, default=dict),
        Column("callback", Text),
        Column("archive", String(255)),
        Column("cancel_asked", Boolean, nullable=False, default=False),
        Column("made_at", Float, nullable=False),
        Column("claimed_at", Float),
        Column("beat_at", Float, nullable=False),
        Column("ended_at", Float),
    )


def file_table(metadata: MetaData) -> Table:
    """Declare the table of stored files, once for each metadata."""
    if FILE_TABLE in metadata.tables:
        return metadata.tables[FILE_TABLE]
    return Table(
        FILE_TABLE,
        metadata,
        Column("id", String(32), primary_key=True),
        Column("key", String(80), nullable=False, unique=True),
        Column("name", String(255), nullable=False),
        Column("mimetype", String(127), nullable=False),
        Column("size", BigInteger, nullable=False),
        Column("checksum", String(64), nullable=False),
        Column("crc32", BigInteger),
        Column("inline", Boolean, nullable=False, default=False),
        Column("max_age", Integer),
        Column("cached", Boolean, nullable=False, default=False),
        Column("run_id", String(32), index=True),
        Column("btn_uid", String(32), index=True),
        Column("source", String(64)),
        Column("made_at", Float, nullable=False),
        Column("started_at", Float),
        Column("downloaded_at", Float),
        Column("expires_at", Float),
    )


def chore_table(metadata: MetaData) -> Table:
    """Declare the table of chores, once for each metadata."""
    if CHORE_TABLE in metadata.tables:
        return metadata.tables[CHORE_TABLE]
    return Table(
        CHORE_TABLE,
        metadata,
        Column("name", String(32), primary_key=True),
        Column("taken_at", Float, nullable=False),
    )
