//! `Microsoft.Compute/snapshots`.

use serde_json::{Value, json};

use super::managed::Managed;
use super::source::Origin;
use super::{API, SNAPSHOTS, life, protection, quota, sku, source};
use crate::arm::kind::{Draft, Facts, Style};
use crate::compute::body::{self, POLLS, Rule};
use crate::cx::Cx;
use crate::refusal::Refusal;
use crate::store::resources::Resource;

const PROPERTIES: &[(&str, Rule)] = &[
    ("copyCompletionError", Rule::ReadOnly),
    ("immutabilityPolicy", Rule::ReadOnly),
    ("incremental", Rule::Elsewhere),
    ("incrementalSnapshotFamilyId", Rule::ReadOnly),
    ("snapshotAccessState", Rule::ReadOnly),
];

/// Snapshots.
pub(in crate::compute) struct Snapshots;

impl Managed for Snapshots {
    const FACTS: Facts = Facts { polls: POLLS, ..Facts::new(SNAPSHOTS, API, Style::Accepted) };
    const WORD: &'static str = "snapshot";
    const PROPERTIES: &'static [(&'static str, Rule)] = PROPERTIES;

    fn apply(&self, cx: &mut Cx<'_>, draft: &mut Draft<'_>) -> Result<(), Refusal> {
        let sku = sku::apply(cx, draft, sku::SNAPSHOTS)?;
        let origin = source::apply(cx, draft, SNAPSHOTS)?;
        incremental(draft, origin.as_ref())?;
        if let Some(origin) = &origin {
            let subscription = draft.id.subscription().unwrap_or_default();
            quota::check(cx, subscription, draft.location(), SNAPSHOTS, sku.name)?;
            life::begin(cx, draft, origin);
        }
        let before = draft.body["properties"]["diskSizeGB"].clone();
        let size = life::size(draft, origin.as_ref(), sku.largest)?;
        let whole = match &origin {
            Some(Origin::Copy(source)) => &source.body["properties"]["diskSizeGB"],
            _ => &before,
        };
        if *whole != size {
            return Err(body::invalid_because("diskSizeGB", "a snapshot has the size of its source."));
        }
        protection::apply(cx, draft, origin.as_ref(), sku)
    }

    fn may_delete(&self, cx: &Cx<'_>, snapshot: &Resource) -> Result<(), Refusal> {
        life::check_no_access(cx, snapshot, "deleting")
    }
}

/// Reads `incremental`, for good. Incremental snapshots of one disk are one family.
fn incremental(draft: &mut Draft<'_>, origin: Option<&Origin>) -> Result<(), Refusal> {
    let given = &draft.asked()["incremental"];
    if !given.is_null() && !given.is_boolean() {
        return Err(body::invalid("incremental"));
    }
    let given = given.as_bool();
    let Some(origin) = origin else {
        let old = draft.body["properties"]["incremental"].as_bool();
        return if given.is_some() && given != old { Err(body::fixed("incremental")) } else { Ok(()) };
    };
    let incremental = given.unwrap_or(false);
    draft.properties()["incremental"] = incremental.into();
    if let (true, Origin::Copy(source)) = (incremental, origin) {
        let properties = &source.body["properties"];
        let family = match &properties["incrementalSnapshotFamilyId"] {
            Value::Null => family_of(properties["uniqueId"].as_str().unwrap_or_default()),
            family => family.clone(),
        };
        draft.properties()["incrementalSnapshotFamilyId"] = family;
        draft.properties()["completionPercent"] = json!(100.0);
    }
    Ok(())
}

/// The family of a disk's incremental snapshots: a GUID that follows from the disk's.
fn family_of(uid: &str) -> Value {
    let digest = sealbook_crypto::sha256(format!("incremental-snapshots/{uid}").as_bytes());
    let mut bytes = [0; 16];
    for (target, byte) in bytes.iter_mut().zip(digest) {
        *target = byte;
    }
    uuid::Builder::from_random_bytes(bytes).into_uuid().to_string().into()
}
