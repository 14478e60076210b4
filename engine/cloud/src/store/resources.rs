//! The generic table of ARM resources: what `GET {id}` answers, by resource id without case.

use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde_json::Value;

use super::{instant, millis};
use crate::refusal::Refusal;
use crate::resource_id::ResourceId;

/// One ARM resource.
#[derive(Clone, Debug)]
pub(crate) struct Resource {
    /// Full id as it was first written.
    pub id: String,
    /// Subscription.
    pub subscription: String,
    /// Resource group.
    pub group: String,
    /// Type with namespace, such as `Microsoft.KeyVault/vaults`.
    pub kind: String,
    /// Name of the last segment.
    pub name: String,
    /// Region, when it has one.
    pub location: Option<String>,
    /// The document that ARM answers: id, name, type, location, tags, properties, …
    pub body: Value,
    /// When it was created (cloud clock).
    pub created: DateTime<Utc>,
    /// When it was last written (cloud clock).
    pub changed: DateTime<Utc>,
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<Resource> {
    let body: String = row.get("body")?;
    Ok(Resource {
        id: row.get("id")?,
        subscription: row.get("subscription")?,
        group: row.get("resource_group")?,
        kind: row.get("type")?,
        name: row.get("name")?,
        location: row.get("location")?,
        body: serde_json::from_str(&body)
            .map_err(|e| rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, Box::new(e)))?,
        created: instant(row.get("created")?),
        changed: instant(row.get("changed")?),
    })
}

/// Reads a resource by id.
pub(crate) fn get(tx: &Connection, id: &str) -> Result<Option<Resource>, Refusal> {
    let row = tx.prepare_cached("SELECT * FROM resources WHERE id = ?1")?.query_row([id], from_row).optional()?;
    Ok(row)
}

/// Writes a resource. `id`, `name` and `type` of the body are set from the id; the spelling of the id and the
/// time of creation stay those of the first write.
pub(crate) fn put(tx: &Connection, id: &ResourceId, mut body: Value, now: DateTime<Utc>) -> Result<Resource, Refusal> {
    let old = get(tx, &id.to_string())?;
    let id_text = old.as_ref().map_or_else(|| id.to_string(), |r| r.id.clone());
    let name = old.as_ref().map_or_else(|| id.name().to_owned(), |r| r.name.clone());
    let created = old.as_ref().map_or(now, |r| r.created);
    body["id"] = id_text.clone().into();
    body["name"] = name.clone().into();
    body["type"] = id.kind().into();
    let location = body["location"].as_str().map(str::to_owned);
    let resource = Resource {
        id: id_text,
        subscription: id.subscription().unwrap_or_default().to_owned(),
        group: id.group().unwrap_or_default().to_owned(),
        kind: id.kind(),
        name,
        location,
        body,
        created,
        changed: now,
    };
    tx.prepare_cached(
        "INSERT OR REPLACE INTO resources
         (id, subscription, resource_group, type, name, location, body, created, changed)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?
    .execute(params![
        resource.id,
        resource.subscription,
        resource.group,
        resource.kind,
        resource.name,
        resource.location,
        resource.body.to_string(),
        millis(resource.created),
        millis(resource.changed),
    ])?;
    Ok(resource)
}

/// Removes a resource row and every row below it; says whether the resource was there.
pub(crate) fn delete(tx: &Connection, id: &str) -> Result<bool, Refusal> {
    let gone = tx.prepare_cached("DELETE FROM resources WHERE id = ?1")?.execute([id])?;
    tx.prepare_cached("DELETE FROM resources WHERE substr(id, 1, length(?1) + 1) = ?1 || '/' COLLATE NOCASE")?
        .execute([id])?;
    Ok(gone > 0)
}

/// Which resources to list. Every part that is set must match, without case.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Filter<'a> {
    /// Subscription.
    pub subscription: Option<&'a str>,
    /// Resource group.
    pub group: Option<&'a str>,
    /// Type with namespace.
    pub kind: Option<&'a str>,
    /// Name.
    pub name: Option<&'a str>,
    /// Ids strictly below this one.
    pub below: Option<&'a str>,
}

/// Lists resources in order of id.
pub(crate) fn list(tx: &Connection, filter: Filter<'_>) -> Result<Vec<Resource>, Refusal> {
    let mut statement = tx.prepare_cached(
        "SELECT * FROM resources
         WHERE (?1 IS NULL OR subscription = ?1)
           AND (?2 IS NULL OR resource_group = ?2)
           AND (?3 IS NULL OR type = ?3)
           AND (?4 IS NULL OR name = ?4 COLLATE NOCASE)
           AND (?5 IS NULL OR substr(id, 1, length(?5) + 1) = ?5 || '/' COLLATE NOCASE)
         ORDER BY id",
    )?;
    let rows = statement
        .query_map(params![filter.subscription, filter.group, filter.kind, filter.name, filter.below], from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Resources whose documents contain an id as a whole text, without case, in order of id; the resource itself and what
/// lies below it aside. Tags do not count: anybody can write anything into them.
pub(crate) fn naming(tx: &Connection, id: &str) -> Result<Vec<Resource>, Refusal> {
    let text = serde_json::Value::from(id).to_string();
    let mut statement = tx.prepare_cached(
        "SELECT * FROM resources
         WHERE instr(lower(json_remove(body, '$.tags')), lower(?2)) > 0
           AND id <> ?1
           AND substr(id, 1, length(?1) + 1) <> ?1 || '/' COLLATE NOCASE
         ORDER BY id",
    )?;
    let rows = statement.query_map([id, &text], from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}
