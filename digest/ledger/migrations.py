"""How a ledger of an earlier release becomes one of this release.

A step is written in the SQL of its day and never changed afterwards, because the tables of `tables` go
on changing. Tables that are new need no step: they are made by `create_missing_tables`.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, insert, update

from digest.ledger.alerts import alerts, pings
from digest.ledger.histories import histories
from digest.ledger.identity import Known
from digest.ledger.leases import leases
from digest.ledger.tables import (
    PRODUCT,
    SCHEMA_VERSION,
    attempts,
    closed,
    contents,
    deliveries,
    meta,
    metadata,
    runs,
)

TABLES = (meta, contents, runs, deliveries, attempts, closed, histories, leases, alerts, pings)

# Released with schema 1: 0.1.0, on SQLite only. The defaults let a process of that release which is
# still at work when the ledger is upgraded write its outcomes.
_TO_2 = (
    "ALTER TABLE deliveries RENAME TO deliveries_1",
    "ALTER TABLE runs RENAME TO runs_1",
    "DROP INDEX deliveries_of_a_run",
    "DROP INDEX deliveries_by_state",
    """CREATE TABLE runs (
	digest VARCHAR(200) NOT NULL,
	business_date DATE NOT NULL,
	correction INTEGER DEFAULT '0' NOT NULL,
	state VARCHAR(20) NOT NULL,
	edition VARCHAR(64),
	note TEXT,
	created_at VARCHAR(32) NOT NULL,
	changed_at VARCHAR(32) NOT NULL,
	PRIMARY KEY (digest, business_date, correction),
	FOREIGN KEY(edition) REFERENCES contents (sha256)
)""",
    """CREATE TABLE deliveries (
	"key" VARCHAR(700) NOT NULL,
	digest VARCHAR(200) NOT NULL,
	business_date DATE NOT NULL,
	correction INTEGER DEFAULT '0' NOT NULL,
	channel VARCHAR(100) NOT NULL,
	recipient VARCHAR(320) NOT NULL,
	state VARCHAR(20) NOT NULL,
	message VARCHAR(64) NOT NULL,
	repeatable BOOLEAN NOT NULL,
	generation INTEGER NOT NULL,
	attempts INTEGER NOT NULL,
	owner VARCHAR(400),
	lease_until VARCHAR(32),
	next_at VARCHAR(32),
	note TEXT,
	changed_at VARCHAR(32) NOT NULL,
	sent_at VARCHAR(32),
	PRIMARY KEY ("key"),
	FOREIGN KEY(digest, business_date, correction)
		REFERENCES runs (digest, business_date, correction)
)""",
    "CREATE INDEX deliveries_of_a_run ON deliveries (digest, business_date, correction)",
    "CREATE INDEX deliveries_by_state ON deliveries (state)",
    """INSERT INTO runs
	SELECT digest, business_date, 0, state, edition, note, created_at, changed_at FROM runs_1""",
    """INSERT INTO deliveries
	SELECT "key", digest, business_date, 0, channel, recipient, state, message, repeatable,
		generation, attempts, owner, lease_until, next_at, note, changed_at, sent_at
	FROM deliveries_1""",
    "DROP TABLE deliveries_1",
    "DROP TABLE runs_1",
)
_STEPS: Mapping[int, Sequence[str]] = {1: _TO_2}


def migrate(connection: Connection, version: int) -> None:
    """Bring the tables of an older version to this one, inside the caller's transaction."""
    for step in range(version, SCHEMA_VERSION):
        for statement in _STEPS[step]:
            connection.exec_driver_sql(statement)
    create_missing_tables(connection)
    connection.execute(
        update(meta).where(meta.c.key == "schema_version").values(value=str(SCHEMA_VERSION))
    )


def create(connection: Connection) -> Known:
    """Make a new ledger where nothing is yet."""
    create_missing_tables(connection)
    known = Known(uuid.uuid4().hex, SCHEMA_VERSION)
    facts = {
        "product": PRODUCT,
        "schema_version": str(known.version),
        "instance_id": known.instance,
    }
    rows = [{"key": key, "value": value} for key, value in facts.items()]
    connection.execute(insert(meta), rows)
    return known


def create_missing_tables(connection: Connection) -> None:
    """Create every table that is not there yet; a module with a table of its own is imported here."""
    metadata.create_all(connection, tables=TABLES)
