//! `Microsoft.Compute/snapshots`.

use serde_json::{Value, json};

use super::disk::{AUTHENTICATION, NETWORK};
use super::source::Origin;
use super::{API, SNAPSHOTS, access, life, protection, quota, sku, source};
use crate::arm::kind::{Draft, Facts, Kind, Style};
use crate::compute::body::{self, POLLS, Rule};
use crate::cx::Cx;
use crate::refusal::Refusal;
use crate::store::resources::Resource;

const PROPERTIES: &[(&str, Rule)] = &[
    ("completionPercent", Rule::ReadOnly),
    ("copyCompletionError", Rule::ReadOnly),
    ("creationData", Rule::Elsewhere),
    ("dataAccessAuthMode", AUTHENTICATION),
    ("diskAccessId", Rule::Lacking("disk access resources (private links)")),
    ("diskSizeBytes", Rule::ReadOnly),
    ("diskSizeGB", Rule::Elsewhere),
    ("diskState", Rule::ReadOnly),
    ("encryption", Rule::Elsewhere),
    ("encryptionSettingsCollection", Rule::Lacking("Azure Disk Encryption")),
    ("hyperVGeneration", Rule::Words(&["V1", "V2"])),
    ("immutabilityPolicy", Rule::ReadOnly),
    ("incremental", Rule::Elsewhere),
    ("incrementalSnapshotFamilyId", Rule::ReadOnly),
    ("networkAccessPolicy", NETWORK),
    ("osType", Rule::Words(&["Windows", "Linux"])),
    ("provisioningState", Rule::ReadOnly),
    ("publicNetworkAccess", Rule::Words(&["Enabled", "Disabled"])),
    ("purchasePlan", Rule::Free),
    ("securityProfile", Rule::Elsewhere),
    ("snapshotAccessState", Rule::ReadOnly),
    ("supportedCapabilities", Rule::Free),
    ("supportsHibernation", Rule::Bool),
    ("timeCreated", Rule::ReadOnly),
    ("uniqueId", Rule::ReadOnly),
];

/// Snapshots.
pub(in crate::compute) struct Snapshots;

const FACTS: Facts = Facts { polls: POLLS, ..Facts::new(SNAPSHOTS, API, Style::Accepted) };

impl Kind for Snapshots {
    fn facts(&self) -> &Facts {
        &FACTS
    }

    fn check_name(&self, name: &str) -> Result<(), Refusal> {
        body::check_name(name, "snapshot")
    }

    fn apply(&self, cx: &mut Cx<'_>, draft: &mut Draft<'_>) -> Result<(), Refusal> {
        body::keep_old(draft);
        body::apply(draft, PROPERTIES)?;
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

    fn stored(&self, cx: &mut Cx<'_>, resource: &Resource) -> Result<(), Refusal> {
        life::stored(cx, resource)
    }

    fn finish(&self, cx: &mut Cx<'_>, verb: &str, given: &Value, it: &mut Resource) -> Result<Option<Value>, Refusal> {
        access::finish(cx, verb, given, it)
    }

    fn result(&self, cx: &Cx<'_>, verb: &str, resource: &str, stored: Value) -> Result<Value, Refusal> {
        access::result(cx, verb, resource, stored)
    }

    fn may_delete(&self, cx: &Cx<'_>, snapshot: &Resource) -> Result<(), Refusal> {
        life::check_no_access(cx, snapshot, "deleting")
    }

    fn destroy(&self, cx: &mut Cx<'_>, snapshot: &Resource) -> Result<(), Refusal> {
        life::destroy(cx, snapshot)
    }

    fn shown(&self, cx: &Cx<'_>, snapshot: &Resource) -> Result<Value, Refusal> {
        life::shown(cx, snapshot)
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
