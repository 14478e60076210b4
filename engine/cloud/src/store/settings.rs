//! Named values of the cloud: clock offset, delays, the seed's ids.

use rusqlite::types::{FromSql, ToSql};
use rusqlite::{Connection, OptionalExtension};

use crate::refusal::Refusal;

/// Offset of the cloud clock from the wall clock, in milliseconds.
pub(crate) const CLOCK_OFFSET: &str = "clock-offset-ms";
/// How long a new role assignment takes to work, in milliseconds of cloud time.
pub(crate) const RBAC_DELAY: &str = "rbac-delay-ms";
/// How long the directory takes to show a new principal to role assignments, in milliseconds of cloud time.
pub(crate) const DIRECTORY_DELAY: &str = "directory-delay-ms";

/// Reads a setting.
pub(crate) fn get<T: FromSql>(tx: &Connection, name: &str) -> Result<Option<T>, Refusal> {
    let value = tx
        .prepare_cached("SELECT value FROM settings WHERE name = ?1")?
        .query_row([name], |row| row.get(0))
        .optional()?;
    Ok(value)
}

/// Writes a setting.
pub(crate) fn set(tx: &Connection, name: &str, value: &dyn ToSql) -> Result<(), Refusal> {
    tx.prepare_cached("INSERT OR REPLACE INTO settings (name, value) VALUES (?1, ?2)")?
        .execute(rusqlite::params![name, value])?;
    Ok(())
}
