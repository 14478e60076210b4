//! The two shared keys of a workspace.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rusqlite::params;
use serde_json::json;

use super::workspace::customer_id;
use crate::arm::resource;
use crate::cx::Cx;
use crate::http::Answer;
use crate::operation::Params;
use crate::refusal::Refusal;

/// Table of the keys; both in one sealed value.
pub(super) const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS workspace_keys (
    customer TEXT PRIMARY KEY COLLATE NOCASE,
    sealed   BLOB NOT NULL
) STRICT;
";

/// Bytes of a key.
const SIZE: usize = 64;

fn place(customer: &str) -> String {
    format!("workspace-keys/{customer}")
}

/// Makes the keys of a workspace that has none.
pub(super) fn ensure(cx: &Cx<'_>, customer: &str) -> Result<(), Refusal> {
    let sealed = cx.seal(&place(customer), &cx.random::<{ 2 * SIZE }>());
    cx.tx
        .prepare_cached("INSERT OR IGNORE INTO workspace_keys (customer, sealed) VALUES (?1, ?2)")?
        .execute(params![customer, sealed])?;
    Ok(())
}

/// Removes the keys of a workspace.
pub(super) fn forget(cx: &Cx<'_>, customer: &str) -> Result<(), Refusal> {
    cx.tx.prepare_cached("DELETE FROM workspace_keys WHERE customer = ?1")?.execute([customer])?;
    Ok(())
}

/// Answers both keys of the workspace that the path names.
pub(super) fn list(cx: &mut Cx<'_>, _: &Params) -> Result<Answer, Refusal> {
    let (_, workspace) = resource::subject(cx)?;
    let customer = customer_id(&workspace);
    let sealed: Vec<u8> = cx
        .tx
        .prepare_cached("SELECT sealed FROM workspace_keys WHERE customer = ?1")?
        .query_row([customer], |row| row.get(0))?;
    let both = cx.open(&place(customer), &sealed)?;
    let (primary, secondary) = both
        .expose()
        .split_at_checked(SIZE)
        .ok_or_else(|| Refusal::internal("the shared keys of a workspace are too short"))?;
    Ok(Answer::ok(&json!({
        "primarySharedKey": STANDARD.encode(primary),
        "secondarySharedKey": STANDARD.encode(secondary),
    })))
}
