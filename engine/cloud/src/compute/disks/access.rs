//! `beginGetAccess` and `endGetAccess`: shared access signatures for the content of disks and snapshots.

use chrono::Duration;
use serde_json::{Value, json};

use super::life;
use crate::arm::{body as document, resource};
use crate::compute::body::{invalid, invalid_because};
use crate::compute::volumes::{self, Grant, Right};
use crate::cx::Cx;
use crate::http::Answer;
use crate::operation::Params;
use crate::refusal::Refusal;
use crate::store::resources::Resource;

const BEGIN: &str = "beginGetAccess";
const END: &str = "endGetAccess";

/// Longest time that a signature may last, in seconds: 60 days.
const LONGEST: i64 = 5_184_000;

/// `Disks_GrantAccess` and `Snapshots_GrantAccess`.
pub(super) fn begin(cx: &mut Cx<'_>, _: &Params) -> Result<Answer, Refusal> {
    let (kind, resource) = resource::subject(cx)?;
    let given = document::object(cx)?;
    let right = match given["access"].as_str().unwrap_or_default().to_ascii_lowercase().as_str() {
        "read" => Right::Read,
        "write" => Right::Write,
        _ => return Err(invalid("grantAccessData.access")),
    };
    let seconds = given["durationInSeconds"].as_i64().unwrap_or_default();
    if !(1..=LONGEST).contains(&seconds) {
        return Err(invalid_because(
            "grantAccessData.durationInSeconds",
            &format!("it must be between 1 and {LONGEST} (60 days)."),
        ));
    }
    match given["fileFormat"].as_str() {
        None => {}
        Some(format) if format.eq_ignore_ascii_case("VHD") => {}
        Some(format) if format.eq_ignore_ascii_case("VHDX") => {
            return Err(invalid("grantAccessData.fileFormat").gap("exports as VHDX"));
        }
        Some(_) => return Err(invalid("grantAccessData.fileFormat")),
    }
    if given["getSecureVMGuestStateSAS"] == true {
        return Err(
            invalid("grantAccessData.getSecureVMGuestStateSAS").gap("exports of a virtual machine's guest state")
        );
    }
    check_state(&resource, right)?;
    let volume = life::volume(cx, &resource)?;
    // Whoever can't read the content must not be told that it can be read.
    life::open(cx, &volume)?;
    let lasts = Duration::seconds(seconds);
    let grant = match Grant::of(cx, &volume)? {
        Some(grant) if grant.right == right => {
            Grant::extend(cx, &volume, lasts)?;
            grant
        }
        _ => Grant::give(cx, &volume, right, lasts)?,
    };
    resource::act(cx, kind, &resource, BEGIN, json!({ "policy": grant.policy }))
}

/// `Disks_RevokeAccess` and `Snapshots_RevokeAccess`. The signature ends at once.
pub(super) fn end(cx: &mut Cx<'_>, _: &Params) -> Result<Answer, Refusal> {
    let (kind, mut resource) = resource::subject(cx)?;
    let volume = life::volume(cx, &resource)?;
    let uploaded = Grant::of(cx, &volume)?.is_some_and(|grant| grant.right == Right::Write);
    Grant::revoke(cx, &volume)?;
    if uploaded {
        resource.body["properties"]["diskState"] = "Unattached".into();
        let id = resource::id_of(&resource)?;
        resource = cx.put_resource(&id, resource.body)?;
    }
    resource::act(cx, kind, &resource, END, Value::Null)
}

fn check_state(resource: &Resource, right: Right) -> Result<(), Refusal> {
    let properties = &resource.body["properties"];
    let refuse = |why: &str| Err(Refusal::new(409, "OperationNotAllowed", format!("Disk {} {why}", resource.name)));
    if properties["networkAccessPolicy"] == "DenyAll" {
        return refuse("can't be exported: its network access policy is DenyAll.");
    }
    match (properties["diskState"].as_str().unwrap_or_default(), right) {
        ("Attached", _) => refuse("is attached to a running virtual machine. Deallocate it, or export a snapshot."),
        ("ReadyToUpload", Right::Write) => Ok(()),
        ("ReadyToUpload", Right::Read) => refuse("waits for its upload: ask for access Write."),
        (_, Right::Write) => refuse("can't be written to: only a disk made with createOption Upload can."),
        (_, Right::Read) => Ok(()),
    }
}

/// Ends the two actions. The result names the policy only: a signature is a secret.
pub(super) fn finish(_: &mut Cx<'_>, verb: &str, given: &Value, _: &mut Resource) -> Result<Option<Value>, Refusal> {
    Ok((verb == BEGIN).then(|| given.clone()))
}

/// The signature that a finished `beginGetAccess` gave, as long as it is in force.
pub(super) fn result(cx: &Cx<'_>, verb: &str, resource: &str, stored: Value) -> Result<Value, Refusal> {
    if verb != BEGIN {
        return Ok(stored);
    }
    let Some(volume) = volumes::by_resource(cx.tx, resource)? else { return Ok(json!({})) };
    let grant = Grant::of(cx, &volume)?.filter(|grant| stored["policy"] == grant.policy);
    Ok(grant.map_or_else(|| json!({}), |grant| json!({ "accessSAS": grant.url(&volume) })))
}
