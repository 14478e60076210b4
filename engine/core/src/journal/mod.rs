//! The journal of a run: write ahead, then act.
//!
//! A [`Journal`] joins three things that change together: the [`RecordStore`] that keeps the records (SQLite here; a
//! distributed backend may come), the pure fold of them ([`RunState`](sealbook_model::journal::RunState)), and the
//! lock that keeps other processes out. What a store acknowledges is never lost; what it can't vouch for is refused by
//! name, never replaced by a fresh start.

pub(crate) mod chain;
mod gates;
mod load;
mod lock;
mod sqlite;
mod store;
mod vault;
mod writer;

pub use gates::Gates;
pub use lock::{RunLock, holder};
pub use sqlite::SqliteStore;
pub use store::{Header, RecordStore, Recorded, Seal};
pub use vault::RunVault;
pub use writer::{Clock, Journal};

#[cfg(test)]
mod tests;
