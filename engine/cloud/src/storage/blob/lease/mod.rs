//! Leases of blobs and containers: the rows, and what a request may do to what is leased.
//!
//! - `state`: which action leads from which state to which
//! - `operations`: the requests that lease
//!
//! Source: "Lease Blob" and "Lease Container" of the Azure Storage REST API.

pub(super) mod operations;
mod state;

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, Row, params};
use uuid::Uuid;

pub(super) use state::Lease;
use state::State;

use super::headers;
use super::rows::Container;
use crate::cx::Cx;
use crate::http::{Answer, Request};
use crate::refusal::Refusal;
use crate::store::{instant, millis};

/// Table of the leases. `blob` is empty for the lease of the container itself, `expires` null for one without end.
pub(super) const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS storage_leases (
    container INTEGER NOT NULL,
    blob      TEXT NOT NULL,
    id        TEXT NOT NULL,
    seconds   INTEGER,
    expires   INTEGER,
    broken    INTEGER,
    PRIMARY KEY (container, blob)
) STRICT;
";

/// What is leased: a blob by name, or the container.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    container: i64,
    blob: &'a str,
}

impl<'a> Place<'a> {
    /// The container itself.
    pub fn container(container: &Container) -> Self {
        Self { container: container.id, blob: "" }
    }

    /// A blob.
    pub fn blob(container: &Container, blob: &'a str) -> Self {
        Self { container: container.id, blob }
    }

    fn is_blob(self) -> bool {
        !self.blob.is_empty()
    }
}

fn row(row: &Row<'_>) -> rusqlite::Result<Lease> {
    Ok(Lease {
        id: row.get("id")?,
        seconds: row.get("seconds")?,
        expires: row.get::<_, Option<i64>>("expires")?.map(instant),
        broken: row.get::<_, Option<i64>>("broken")?.map(instant),
    })
}

/// The lease of a place, ended or not.
pub(super) fn find(tx: &Connection, place: Place<'_>) -> Result<Option<Lease>, Refusal> {
    let lease = tx
        .prepare_cached("SELECT * FROM storage_leases WHERE container = ?1 AND blob = ?2")?
        .query_row(params![place.container, place.blob], row)
        .optional()?;
    Ok(lease)
}

/// The leases of a container's blobs by name.
pub(super) fn of_blobs(tx: &Connection, container: &Container) -> Result<HashMap<String, Lease>, Refusal> {
    let mut statement = tx.prepare_cached("SELECT * FROM storage_leases WHERE container = ?1")?;
    let rows = statement.query_map([container.id], |r| Ok((r.get("blob")?, row(r)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn put(tx: &Connection, place: Place<'_>, lease: &Lease) -> Result<(), Refusal> {
    tx.prepare_cached(
        "INSERT OR REPLACE INTO storage_leases (container, blob, id, seconds, expires, broken)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?
    .execute(params![
        place.container,
        place.blob,
        lease.id,
        lease.seconds,
        lease.expires.map(millis),
        lease.broken.map(millis),
    ])?;
    Ok(())
}

/// Forgets the lease of a place: because it was released, or because what was leased is gone.
pub(super) fn forget(tx: &Connection, place: Place<'_>) -> Result<(), Refusal> {
    tx.prepare_cached("DELETE FROM storage_leases WHERE container = ?1 AND blob = ?2")?
        .execute(params![place.container, place.blob])?;
    Ok(())
}

/// Reads a lease id from a header: a GUID in any of its forms.
fn id(request: &Request, header: &str) -> Result<Option<String>, Refusal> {
    let Some(given) = request.header(header) else { return Ok(None) };
    Uuid::try_parse(given.trim()).map(|id| Some(id.to_string())).map_err(|_| headers::invalid(header))
}

/// Refuses a write, or the deletion of a container, that does not show the lease which holds the place. A write to a
/// place whose lease has ended ends its memory, too: that lease can't be renewed any more.
///
/// # Errors
/// `LeaseIdMissing`, `LeaseLost`, `LeaseIdMismatchWithBlobOperation`, `LeaseNotPresentWithBlobOperation` and their
/// counterparts for containers.
pub(super) fn check_write(cx: &Cx<'_>, place: Place<'_>) -> Result<(), Refusal> {
    let given = id(cx.request, "x-ms-lease-id")?;
    let lease = find(cx.tx, place)?;
    if given.is_none() && lease.as_ref().is_some_and(|lease| lease.holds(cx.now)) {
        let what = if place.is_blob() { "blob" } else { "container" };
        let message = format!("There is currently a lease on the {what} and no lease ID was specified in the request.");
        return Err(Refusal::new(412, "LeaseIdMissing", message));
    }
    check(cx, place, lease.as_ref(), given.as_deref())?;
    if lease.is_some_and(|lease| !lease.holds(cx.now)) {
        forget(cx.tx, place)?;
    }
    Ok(())
}

/// Refuses a read that shows another lease than the one which holds the place.
pub(super) fn check_read(cx: &Cx<'_>, place: Place<'_>) -> Result<(), Refusal> {
    check_given(cx, place, "x-ms-lease-id")
}

/// The same for a lease id in another header (`x-ms-source-lease-id`).
pub(super) fn check_given(cx: &Cx<'_>, place: Place<'_>, header: &str) -> Result<(), Refusal> {
    let Some(given) = id(cx.request, header)? else { return Ok(()) };
    check(cx, place, find(cx.tx, place)?.as_ref(), Some(&given))
}

fn check(cx: &Cx<'_>, place: Place<'_>, lease: Option<&Lease>, given: Option<&str>) -> Result<(), Refusal> {
    let Some(given) = given else { return Ok(()) };
    let (what, operation) = if place.is_blob() { ("blob", "Blob") } else { ("container", "Container") };
    let (code, message) = match lease {
        Some(lease) if lease.holds(cx.now) && lease.id == given => return Ok(()),
        Some(lease) if lease.holds(cx.now) => (
            format!("LeaseIdMismatchWith{operation}Operation"),
            format!("The lease ID specified did not match the lease ID for the {what}."),
        ),
        Some(lease) if lease.id == given => {
            ("LeaseLost".to_owned(), format!("A lease ID was specified, but the lease for the {what} has expired."))
        }
        _ => {
            (format!("LeaseNotPresentWith{operation}Operation"), format!("There is currently no lease on the {what}."))
        }
    };
    Err(Refusal::new(412, code, message))
}

/// Status, state and duration of a lease in Azure's words; a duration only while the lease is whole.
pub(super) fn words(cx: &Cx<'_>, lease: Option<&Lease>) -> (&'static str, &'static str, Option<&'static str>) {
    let state = lease.map_or(State::Available, |lease| lease.state(cx.now));
    let duration = lease.filter(|_| state == State::Leased).map(|lease| match lease.seconds {
        Some(_) => "fixed",
        None => "infinite",
    });
    let locked = matches!(state, State::Leased | State::Breaking);
    (if locked { "locked" } else { "unlocked" }, state.as_str(), duration)
}

/// Adds what an answer tells about the lease of a place.
pub(super) fn describe(cx: &Cx<'_>, place: Place<'_>, answer: &mut Answer) -> Result<(), Refusal> {
    let lease = find(cx.tx, place)?;
    let (status, state, duration) = words(cx, lease.as_ref());
    answer.set("x-ms-lease-status", status);
    answer.set("x-ms-lease-state", state);
    if let Some(duration) = duration {
        answer.set("x-ms-lease-duration", duration);
    }
    Ok(())
}
