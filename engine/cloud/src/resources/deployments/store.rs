//! Deployments as they are kept. They are no resources: lists of resources do not show them, and nothing is in use
//! because a deployment names it.

use rusqlite::{OptionalExtension, Row, params};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::template::Planned;
use crate::cx::{Caller, Cx, PrincipalKind};
use crate::refusal::Refusal;

/// Table of the deployments.
pub(in crate::resources) const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS deployments (
    id             TEXT PRIMARY KEY COLLATE NOCASE,
    resource_group TEXT NOT NULL COLLATE NOCASE,
    document       TEXT NOT NULL,
    steps          TEXT NOT NULL,
    operation      TEXT NOT NULL,
    work           BLOB
) STRICT;
";

/// How far a resource of a deployment is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum State {
    /// Not begun.
    Waiting,
    /// Its long-running operation is in progress; its id, when there is one.
    Running(String),
    /// There.
    Succeeded,
    /// Refused.
    Failed,
}

/// A resource of a deployment, as `operations` shows it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Step {
    pub operation: String,
    pub id: String,
    pub kind: String,
    pub name: String,
    pub state: State,
    /// Milliseconds since the epoch.
    pub started: i64,
    pub ended: i64,
    pub status: u16,
    /// ARM error object of a failed one.
    pub error: Option<Value>,
}

/// Who deploys.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Deployer {
    oid: String,
    kind: Option<String>,
    tenant: String,
    app_id: String,
    upn: Option<String>,
    issuer: String,
}

impl Deployer {
    pub fn of(caller: &Caller) -> Self {
        Self {
            oid: caller.oid.clone(),
            kind: caller.kind.map(|kind| kind.as_str().to_owned()),
            tenant: caller.tenant.clone(),
            app_id: caller.app_id.clone(),
            upn: caller.upn.clone(),
            issuer: caller.issuer.clone(),
        }
    }

    pub fn caller(&self) -> Caller {
        Caller {
            oid: self.oid.clone(),
            kind: self.kind.as_deref().and_then(PrincipalKind::parse),
            tenant: self.tenant.clone(),
            app_id: self.app_id.clone(),
            upn: self.upn.clone(),
            issuer: self.issuer.clone(),
        }
    }
}

/// What is left to do. It holds the values of secure parameters, so it is sealed, and gone when the deployment ends.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Work {
    pub deployer: Deployer,
    pub parameters: serde_json::Map<String, Value>,
    pub variables: serde_json::Map<String, Value>,
    pub resources: Vec<Planned>,
    pub outputs: Value,
}

/// A deployment.
#[derive(Clone, Debug)]
pub(super) struct Deployment {
    pub id: String,
    pub group: String,
    /// The document that GET answers.
    pub document: Value,
    pub steps: Vec<Step>,
    /// Id in the URL that tells its state.
    pub operation: String,
    /// None once it has ended.
    pub work: Option<Work>,
}

type Columns = (String, String, String, String, String, Option<Vec<u8>>);

fn columns(row: &Row<'_>) -> rusqlite::Result<Columns> {
    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?))
}

fn aad(id: &str) -> String {
    format!("deployment {}", id.to_ascii_lowercase())
}

fn read(cx: &Cx<'_>, (id, group, document, steps, operation, work): Columns) -> Result<Deployment, Refusal> {
    let work = match work {
        Some(sealed) => Some(serde_json::from_slice(cx.open(&aad(&id), &sealed)?.expose())?),
        None => None,
    };
    let (document, steps) = (serde_json::from_str(&document)?, serde_json::from_str(&steps)?);
    Ok(Deployment { id, group, document, steps, operation, work })
}

const SELECT: &str = "SELECT id, resource_group, document, steps, operation, work FROM deployments";

/// Reads a deployment by id.
pub(super) fn get(cx: &Cx<'_>, id: &str) -> Result<Option<Deployment>, Refusal> {
    let row = cx.tx.prepare_cached(&format!("{SELECT} WHERE id = ?1"))?.query_row([id], columns).optional()?;
    row.map(|row| read(cx, row)).transpose()
}

/// The deployments of a group, in order of id.
pub(super) fn list(cx: &Cx<'_>, group: &str) -> Result<Vec<Deployment>, Refusal> {
    let mut statement = cx.tx.prepare_cached(&format!("{SELECT} WHERE resource_group = ?1 ORDER BY id"))?;
    let rows: Vec<Columns> = statement.query_map([group], columns)?.collect::<Result<_, _>>()?;
    rows.into_iter().map(|row| read(cx, row)).collect()
}

/// Writes a deployment.
pub(super) fn put(cx: &Cx<'_>, deployment: &Deployment) -> Result<(), Refusal> {
    let work = match &deployment.work {
        Some(work) => Some(cx.seal(&aad(&deployment.id), serde_json::to_string(work)?.as_bytes())),
        None => None,
    };
    cx.tx
        .prepare_cached(
            "INSERT OR REPLACE INTO deployments (id, resource_group, document, steps, operation, work)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![
            deployment.id,
            deployment.group,
            deployment.document.to_string(),
            serde_json::to_string(&deployment.steps)?,
            deployment.operation,
            work,
        ])?;
    Ok(())
}

/// Removes a deployment; what it made stays.
pub(super) fn delete(cx: &Cx<'_>, id: &str) -> Result<(), Refusal> {
    cx.tx.prepare_cached("DELETE FROM deployments WHERE id = ?1")?.execute([id])?;
    Ok(())
}

/// Removes the deployments of a group that goes.
pub(in crate::resources) fn forget(cx: &Cx<'_>, group: &str) -> Result<(), Refusal> {
    cx.tx.prepare_cached("DELETE FROM deployments WHERE resource_group = ?1")?.execute([group])?;
    Ok(())
}
