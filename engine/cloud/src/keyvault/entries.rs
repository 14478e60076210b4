//! What keys and secrets are alike in: each is a name in a key store that holds one or more versions, and each can be
//! had back for a while after its deletion.
//!
//! Azure answers a delete at once and finishes it a little later: until then the entry is neither live nor listed as
//! deleted, and its name answers `ObjectIsBeingDeleted`.

use chrono::{DateTime, Duration, Utc};
use rusqlite::{OptionalExtension, Row, params};

use super::keystore::{Deletion, KeyStore};
use super::requests;
use crate::cx::Cx;
use crate::refusal::Refusal;
use crate::store::{instant, millis};

/// How long a deletion is under way, on the cloud clock.
const SETTLING: Duration = Duration::milliseconds(300);

/// A key or a secret.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// Row.
    pub row: i64,
    /// Name as it was first written.
    pub name: String,
    /// Set while it is soft-deleted.
    pub deletion: Option<Deletion>,
    /// Until when a deletion is still under way.
    pub settled: DateTime<Utc>,
}

/// The keys or the secrets of all key stores.
pub(super) struct Entries {
    table: &'static str,
    word: &'static str,
}

/// Keys.
pub(super) const KEYS: Entries = Entries { table: "keyvault_keys", word: "Key" };
/// Secrets.
pub(super) const SECRETS: Entries = Entries { table: "keyvault_secrets", word: "Secret" };

/// Reads when a row was deleted and when it is purged.
pub(super) fn deletion(row: &Row<'_>) -> rusqlite::Result<Option<Deletion>> {
    Ok(match (row.get::<_, Option<i64>>("deleted")?, row.get::<_, Option<i64>>("purge")?) {
        (Some(at), Some(purge)) => Some(Deletion { at: instant(at), purge: instant(purge) }),
        _ => None,
    })
}

fn entry(row: &Row<'_>) -> rusqlite::Result<Entry> {
    let settled: Option<i64> = row.get("settled")?;
    Ok(Entry {
        row: row.get("id")?,
        name: row.get("name")?,
        deletion: deletion(row)?,
        settled: instant(settled.unwrap_or_default()),
    })
}

fn conflict(message: String, inner: &str) -> Refusal {
    Refusal::new(409, "Conflict", message).inner(inner)
}

impl Entries {
    /// Reads the entry of a name, live or soft-deleted.
    pub fn find(&self, cx: &Cx<'_>, label: &str, name: &str) -> Result<Option<Entry>, Refusal> {
        let sql = format!("SELECT * FROM {} WHERE vault = ?1 AND name = ?2", self.table);
        Ok(cx.tx.prepare_cached(&sql)?.query_row([label, name], entry).optional()?)
    }

    /// Reads the entry of a row.
    pub fn at(&self, cx: &Cx<'_>, row: i64) -> Result<Option<Entry>, Refusal> {
        let sql = format!("SELECT * FROM {} WHERE id = ?1", self.table);
        Ok(cx.tx.prepare_cached(&sql)?.query_row([row], entry).optional()?)
    }

    /// A page of a key store's live or soft-deleted entries in order of name, from behind `after` on.
    pub fn page(
        &self,
        cx: &Cx<'_>,
        label: &str,
        deleted: bool,
        after: &str,
        limit: usize,
    ) -> Result<Vec<Entry>, Refusal> {
        let mut statement = cx.tx.prepare_cached(&format!(
            "SELECT * FROM {}
             WHERE vault = ?1 AND name > ?2 AND (deleted IS NOT NULL) = ?3 AND (?3 = 0 OR settled <= ?4)
             ORDER BY name LIMIT ?5",
            self.table
        ))?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = statement.query_map(params![label, after, deleted, millis(cx.now), limit], entry)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Rows of all entries of a key store.
    pub fn of(&self, cx: &Cx<'_>, label: &str) -> Result<Vec<i64>, Refusal> {
        let mut statement = cx.tx.prepare_cached(&format!("SELECT id FROM {} WHERE vault = ?1", self.table))?;
        Ok(statement.query_map([label], |row| row.get(0))?.collect::<Result<_, _>>()?)
    }

    /// Rows of the entries whose retention has ended by `cx.now`.
    pub fn due(&self, cx: &Cx<'_>) -> Result<Vec<i64>, Refusal> {
        let mut statement = cx.tx.prepare_cached(&format!("SELECT id FROM {} WHERE purge <= ?1", self.table))?;
        Ok(statement.query_map([millis(cx.now)], |row| row.get(0))?.collect::<Result<_, _>>()?)
    }

    /// Adds an entry without versions.
    pub fn insert(&self, cx: &Cx<'_>, label: &str, name: &str) -> Result<Entry, Refusal> {
        let sql = format!("INSERT INTO {} (vault, name) VALUES (?1, ?2)", self.table);
        cx.tx.prepare_cached(&sql)?.execute([label, name])?;
        let row = cx.tx.last_insert_rowid();
        Ok(Entry { row, name: name.to_owned(), deletion: None, settled: DateTime::UNIX_EPOCH })
    }

    /// Soft-deletes an entry, for as long as its key store retains.
    pub fn delete(&self, cx: &Cx<'_>, keystore: &KeyStore, row: i64) -> Result<Deletion, Refusal> {
        let deletion = Deletion::now(cx, keystore.retention());
        let sql = format!("UPDATE {} SET deleted = ?2, purge = ?3, settled = ?4 WHERE id = ?1", self.table);
        cx.tx.prepare_cached(&sql)?.execute(params![
            row,
            millis(deletion.at),
            millis(deletion.purge),
            millis(cx.now + SETTLING)
        ])?;
        Ok(deletion)
    }

    /// Marks a soft-deleted entry as live again.
    pub fn mark_live(&self, cx: &Cx<'_>, row: i64) -> Result<(), Refusal> {
        let sql = format!("UPDATE {} SET deleted = NULL, purge = NULL, settled = NULL WHERE id = ?1", self.table);
        cx.tx.prepare_cached(&sql)?.execute([row])?;
        Ok(())
    }

    /// Removes an entry; its name is free afterwards.
    pub fn remove(&self, cx: &Cx<'_>, row: i64) -> Result<(), Refusal> {
        cx.tx.prepare_cached(&format!("DELETE FROM {} WHERE id = ?1", self.table))?.execute([row])?;
        Ok(())
    }

    /// The soft-deleted entry that a path names.
    pub fn deleted(&self, cx: &Cx<'_>, keystore: &KeyStore, name: &str) -> Result<(Entry, Deletion), Refusal> {
        requests::check_key_name(name)?;
        let entry = self.find(cx, &keystore.label, name)?.ok_or_else(|| self.missing(name))?;
        let deletion = entry.deletion.ok_or_else(|| self.missing(name))?;
        Ok((entry, deletion))
    }

    /// Refuses a name that no soft-deleted entry has.
    pub fn missing(&self, name: &str) -> Refusal {
        let Self { word, .. } = self;
        Refusal::new(404, format!("{word}NotFound"), format!("Deleted {word} not found: {name}"))
    }

    /// Refuses the name of a soft-deleted entry for a new one.
    pub fn name_taken(&self, cx: &Cx<'_>, entry: &Entry) -> Refusal {
        let (Self { word, .. }, Entry { name, .. }) = (self, entry);
        if cx.now < entry.settled {
            let message = format!("{word} {name} is currently being deleted and cannot be re-created; retry later.");
            return conflict(message, "ObjectIsBeingDeleted");
        }
        conflict(
            format!(
                "{word} {name} is currently in a deleted but recoverable state, and its name cannot be reused; in this \
                 state, the {} can only be recovered or purged.",
                word.to_ascii_lowercase()
            ),
            "ObjectIsDeletedButRecoverable",
        )
    }

    /// Refuses to work on an entry whose deletion is under way.
    pub fn check_settled(&self, cx: &Cx<'_>, entry: &Entry) -> Result<(), Refusal> {
        if cx.now < entry.settled {
            let message = format!("{} {} is currently being deleted.", self.word, entry.name);
            return Err(conflict(message, "ObjectIsBeingDeleted"));
        }
        Ok(())
    }
}
