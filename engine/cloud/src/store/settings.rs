//! Named values of the cloud: clock offset, delays, the seed's ids.

use std::net::Ipv4Addr;

use rusqlite::types::{FromSql, ToSql};
use rusqlite::{Connection, OptionalExtension};

use crate::refusal::Refusal;

/// Offset of the cloud clock from the wall clock, in milliseconds.
pub(crate) const CLOCK_OFFSET: &str = "clock-offset-ms";
/// How long a new role assignment takes to work, in milliseconds of cloud time.
pub(crate) const RBAC_DELAY: &str = "rbac-delay-ms";
/// How long the directory takes to show a new principal to role assignments, in milliseconds of cloud time.
pub(crate) const DIRECTORY_DELAY: &str = "directory-delay-ms";

/// The public IPv4 address from which services see callers come. Addresses of this machine would be of no use in a
/// firewall rule.
pub(crate) const CLIENT_ADDRESS: &str = "client-address";
/// That address when none was set: one of TEST-NET-3, which RFC 5737 reserves for documentation.
pub(crate) const DEFAULT_CLIENT_ADDRESS: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 10);

/// Reads [`CLIENT_ADDRESS`].
pub(crate) fn client_address(tx: &Connection) -> Result<Ipv4Addr, Refusal> {
    match get::<String>(tx, CLIENT_ADDRESS)? {
        Some(text) => text.parse().map_err(Refusal::internal),
        None => Ok(DEFAULT_CLIENT_ADDRESS),
    }
}

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
