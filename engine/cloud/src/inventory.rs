//! What exists in the cloud, over all providers: for people who look around, and for tests that count.

use rusqlite::Connection;
use serde::Serialize;

use crate::refusal::Refusal;
use crate::registry::PROVIDERS;

/// One thing that exists.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Item {
    /// What it is: an ARM resource type (`Microsoft.KeyVault/vaults`), or a data-plane thing (`key-version`, `blob`).
    pub kind: String,
    /// Its id or address, unique within its kind.
    pub id: String,
    /// Changes whenever its state does: the first digits of a SHA-256.
    pub state: String,
}

/// What ARM itself keeps. Providers add theirs by [`crate::service::Provider::inventory`].
const RESOURCES: &str = "SELECT type, id, body FROM resources";

/// Reads everything, sorted.
pub(crate) fn read(tx: &Connection) -> Result<Vec<Item>, Refusal> {
    let mut items = Vec::new();
    let queries = PROVIDERS.iter().flat_map(|p| p.inventory()).copied();
    for query in std::iter::once(RESOURCES).chain(queries) {
        let mut statement = tx.prepare_cached(query)?;
        let rows = statement.query_map([], |row| {
            let state: String = row.get(2)?;
            Ok(Item {
                kind: row.get(0)?,
                id: row.get(1)?,
                state: hex::encode(&sealbook_crypto::sha256(state.as_bytes())[..6]),
            })
        })?;
        for item in rows {
            items.push(item?);
        }
    }
    items.sort();
    Ok(items)
}
