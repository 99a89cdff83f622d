"""The tables of the history; times are milliseconds (`_ms`) or minutes since 1970, UTC."""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from emoshift.emotions import EMOTIONS, STATES

METADATA: Final = MetaData()

# SQLite numbers rows by itself only in a column declared exactly INTEGER.
_Number = BigInteger().with_variant(Integer(), "sqlite")

DEVICE: Final = Table(
    "device",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("site", String(64), nullable=False),
    Column("name", String(64), nullable=False),
    Column("first_seen_ms", BigInteger, nullable=False),
    Column("seen_ms", BigInteger, nullable=False),
    Column("status", Text),
    Column("info", Text),
    Column("health", Text),
    UniqueConstraint("site", "name"),
)

BOOT: Final = Table(
    "boot",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("boot_id", String(32), nullable=False, unique=True),
    Column("device", ForeignKey("device.id"), nullable=False),
)

MODEL: Final = Table(
    "model",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("name", String(128), nullable=False, unique=True),
)

EVENT: Final = Table(
    "event",
    METADATA,
    Column("boot", Integer, primary_key=True, autoincrement=False),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("device", Integer, nullable=False),
    Column("placed_ms", BigInteger, nullable=False),
    Column("received_ms", BigInteger, nullable=False),
    Column("camera", String(64), nullable=False),
    Column("track", String(128), nullable=False),
    Column("before", SmallInteger, nullable=False),
    Column("after", SmallInteger, nullable=False),
    Column("confidence", Double, nullable=False),
    Column("dwell_s", Double, nullable=False),
    Column("delay_ms", BigInteger, nullable=False),
    Column("latency_ms", Integer, nullable=False),
    Column("flags", SmallInteger, nullable=False),
    Column("model", Integer, nullable=False),
    Index("event_by_time", "device", "placed_ms"),
    sqlite_with_rowid=False,
)

TALLY: Final = Table(
    "tally",
    METADATA,
    Column("device", Integer, primary_key=True, autoincrement=False),
    Column("minute", Integer, primary_key=True, autoincrement=False),
    *(Column(name, Integer, nullable=False) for name in EMOTIONS),
    sqlite_with_rowid=False,
)

CLASS: Final = Table(
    "class_minute",
    METADATA,
    Column("device", Integer, primary_key=True, autoincrement=False),
    Column("minute", Integer, primary_key=True, autoincrement=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("shown", Integer, nullable=False),
    Column("hidden", Integer, nullable=False),
    *(Column(name, Integer, nullable=False) for name in STATES),
    # How many of those shown were over windows of time: noisy already where the device made them.
    Column("windows", Integer, nullable=False, server_default="0"),
    sqlite_with_rowid=False,
)

CLASS_WINDOW: Final = Table(
    "class_window",
    METADATA,
    Column("device", Integer, primary_key=True, autoincrement=False),
    Column("minute", Integer, primary_key=True, autoincrement=False),
    Column("shown", Boolean, nullable=False),
    *(Column(f"in_{name}", Integer, nullable=False) for name in STATES),
    *(Column(f"to_{name}", Integer, nullable=False) for name in EMOTIONS),
    sqlite_with_rowid=False,
)

HEALTH: Final = Table(
    "health_minute",
    METADATA,
    Column("device", Integer, primary_key=True, autoincrement=False),
    Column("minute", Integer, primary_key=True, autoincrement=False),
    Column("body", Text, nullable=False),
    sqlite_with_rowid=False,
)

NOTE: Final = Table(
    "note",
    METADATA,
    Column("id", _Number, primary_key=True),
    Column("device", Integer, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("what", String(32), nullable=False),
    Column("detail", String(300), nullable=False),
    Index("note_by_time", "device", "at_ms"),
)

PROBLEM: Final = Table(
    "problem",
    METADATA,
    Column("site", String(64), primary_key=True),
    Column("name", String(64), primary_key=True),
    Column("problem", String(16), primary_key=True),
    Column("count", BigInteger, nullable=False),
    Column("last_ms", BigInteger, nullable=False),
    Column("detail", String(300), nullable=False),
)

WORKER: Final = Table(
    "worker",
    METADATA,
    Column("name", String(64), primary_key=True),
    Column("seen_ms", BigInteger, nullable=False),
    Column("connected", Boolean, nullable=False),
    Column("new", BigInteger, nullable=False),
    Column("doubled", BigInteger, nullable=False),
    Column("refused", BigInteger, nullable=False),
    Column("waiting", BigInteger, nullable=False),
    Column("committed_ms", BigInteger, nullable=False, server_default="0"),
    Column("lag_ms", BigInteger, nullable=False, server_default="0"),
    Column("set_aside", BigInteger, nullable=False, server_default="0"),
)

DEAD_LETTER: Final = Table(
    "dead_letter",
    METADATA,
    Column("id", _Number, primary_key=True),
    Column("received_ms", BigInteger, nullable=False),
    Column("topic", Text, nullable=False),
    Column("payload", LargeBinary, nullable=False),
    Column("reason", String(300), nullable=False),
)

LESSON: Final = Table(
    "lesson",
    METADATA,
    Column("id", _Number, primary_key=True),
    Column("device", Integer, nullable=False),
    Column("title", String(120), nullable=False),
    Column("started_ms", BigInteger, nullable=False),
    Column("ended_ms", BigInteger),
    Column("marked_by", String(64), nullable=False),
    Index("lesson_by_time", "device", "started_ms"),
)

ACCOUNT: Final = Table(
    "account",
    METADATA,
    Column("name", String(64), primary_key=True),
    Column("role", String(16), nullable=False),
    Column("password", String(256), nullable=False),
    Column("disabled", Boolean, nullable=False, default=False),
)

ANNOTATION: Final = Table(
    "annotation",
    METADATA,
    Column("id", _Number, primary_key=True),
    Column("device", Integer, nullable=False),
    Column("author", ForeignKey("account.name", ondelete="CASCADE"), nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("text", String(200), nullable=False),
    Index("annotation_by_time", "device", "author", "at_ms"),
)

MARK: Final = Table(
    "mark",
    METADATA,
    Column("id", _Number, primary_key=True),
    Column("device", Integer, nullable=False),
    Column("author", ForeignKey("account.name", ondelete="CASCADE"), nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("verdict", String(8), nullable=False),
    Column("around", Text, nullable=False),
    Index("mark_by_time", "device", "author", "at_ms"),
)

SESSION: Final = Table(
    "session",
    METADATA,
    Column("token", LargeBinary(32), primary_key=True),
    Column("account", ForeignKey("account.name", ondelete="CASCADE"), nullable=False),
    Column("csrf", String(64), nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("seen_ms", BigInteger, nullable=False),
)

KNOWN_BROWSER: Final = Table(
    "known_browser",
    METADATA,
    Column("token", LargeBinary(32), primary_key=True),
    Column("account", ForeignKey("account.name", ondelete="CASCADE"), nullable=False),
    Column("seen_ms", BigInteger, nullable=False),
)

ACCESS: Final = Table(
    "access",
    METADATA,
    Column("account", ForeignKey("account.name", ondelete="CASCADE"), primary_key=True),
    Column("place", String(130), primary_key=True),
)

CLASS_GROUP: Final = Table(
    "class_group",
    METADATA,
    Column("name", String(64), primary_key=True),
    Column("place", String(130), primary_key=True),
)

AUDIT: Final = Table(
    "audit",
    METADATA,
    Column("id", _Number, primary_key=True),
    Column("at_ms", BigInteger, nullable=False),
    Column("account", String(64), nullable=False),
    Column("address", String(64), nullable=False),
    Column("action", String(32), nullable=False),
    Column("target", String(200), nullable=False),
    Index("audit_by_time", "at_ms"),
)

ENROLMENT: Final = Table(
    "enrolment",
    METADATA,
    Column("site", String(64), primary_key=True),
    Column("name", String(64), primary_key=True),
    Column("approved", Boolean, nullable=False),
    Column("first_ms", BigInteger, nullable=False),
    Column("seen_ms", BigInteger, nullable=False),
    Column("by", String(64), nullable=False),
)

REGISTRY: Final = Table(
    "registry",
    METADATA,
    Column("version", BigInteger, nullable=False),
)

FLAG_UNSYNCED: Final = 1
FLAG_HISTORICAL: Final = 2
FLAG_DEGRADED: Final = 4
