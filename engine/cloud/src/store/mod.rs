//! The cloud's one SQLite file: its schema, its settings and the tables that every provider shares.

pub(crate) mod log;
pub(crate) mod pool;
pub(crate) mod resources;
pub(crate) mod settings;

use chrono::{DateTime, TimeZone, Utc};

/// Version of the file's layout; a newer one is refused by name.
pub(crate) const FORMAT: i64 = 2;

/// Tables shared by all providers. Instants are milliseconds since the Unix epoch.
pub(crate) const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS settings (
    name  TEXT PRIMARY KEY,
    value ANY NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS resources (
    id             TEXT PRIMARY KEY COLLATE NOCASE,
    subscription   TEXT NOT NULL COLLATE NOCASE,
    resource_group TEXT NOT NULL COLLATE NOCASE,
    type           TEXT NOT NULL COLLATE NOCASE,
    name           TEXT NOT NULL,
    location       TEXT,
    body           TEXT NOT NULL,
    created        INTEGER NOT NULL,
    changed        INTEGER NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS resources_by_group ON resources (subscription, resource_group);
CREATE TABLE IF NOT EXISTS requests (
    id         INTEGER PRIMARY KEY,
    request_id TEXT NOT NULL,
    time       INTEGER NOT NULL,
    method     TEXT NOT NULL,
    host       TEXT NOT NULL,
    path       TEXT NOT NULL,
    query      TEXT NOT NULL,
    service    TEXT NOT NULL,
    operation  TEXT NOT NULL,
    status     INTEGER NOT NULL,
    code       TEXT,
    caller     TEXT,
    correlation TEXT,
    fault      TEXT
) STRICT;
CREATE TABLE IF NOT EXISTS counters (
    operation TEXT NOT NULL,
    status    INTEGER NOT NULL,
    count     INTEGER NOT NULL,
    PRIMARY KEY (operation, status)
) STRICT;
";

/// Milliseconds since the epoch, the form in which instants are stored.
pub(crate) fn millis(time: DateTime<Utc>) -> i64 {
    time.timestamp_millis()
}

/// The instant of stored milliseconds.
pub(crate) fn instant(millis: i64) -> DateTime<Utc> {
    Utc.timestamp_millis_opt(millis).single().unwrap_or(DateTime::UNIX_EPOCH)
}
