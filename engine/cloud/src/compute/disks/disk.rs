//! `Microsoft.Compute/disks`.

use serde_json::Value;

use super::{API, DISKS, access, life, protection, quota, sku, source};
use crate::arm::kind::{Draft, Facts, Kind, Style};
use crate::compute::body::{self, POLLS, Rule, invalid_because};
use crate::cx::Cx;
use crate::refusal::Refusal;
use crate::store::resources::Resource;

pub(super) const NETWORK: Rule =
    Rule::Some(&["AllowAll", "DenyAll"], &["AllowPrivate"], "disk access resources (private links)");
pub(super) const AUTHENTICATION: Rule =
    Rule::Some(&["None"], &["AzureActiveDirectory"], "exports of disks with Microsoft Entra authentication");

const PROPERTIES: &[(&str, Rule)] = &[
    ("LastOwnershipUpdateTime", Rule::ReadOnly),
    ("availabilityPolicy", Rule::Free),
    ("burstingEnabled", Rule::Bool),
    ("burstingEnabledTime", Rule::ReadOnly),
    ("completionPercent", Rule::ReadOnly),
    ("creationData", Rule::Elsewhere),
    ("dataAccessAuthMode", AUTHENTICATION),
    ("diskAccessId", Rule::Lacking("disk access resources (private links)")),
    ("diskIOPSReadOnly", Rule::Lacking("shared disks")),
    ("diskIOPSReadWrite", Rule::Elsewhere),
    ("diskMBpsReadOnly", Rule::Lacking("shared disks")),
    ("diskMBpsReadWrite", Rule::Elsewhere),
    ("diskSizeBytes", Rule::ReadOnly),
    ("diskSizeGB", Rule::Elsewhere),
    ("diskState", Rule::ReadOnly),
    ("encryption", Rule::Elsewhere),
    ("encryptionSettingsCollection", Rule::Lacking("Azure Disk Encryption")),
    ("hyperVGeneration", Rule::Words(&["V1", "V2"])),
    ("maxShares", Rule::Elsewhere),
    ("networkAccessPolicy", NETWORK),
    ("optimizedForFrequentAttach", Rule::Bool),
    ("osType", Rule::Words(&["Windows", "Linux"])),
    ("propertyUpdatesInProgress", Rule::ReadOnly),
    ("provisioningState", Rule::ReadOnly),
    ("publicNetworkAccess", Rule::Words(&["Enabled", "Disabled"])),
    ("purchasePlan", Rule::Free),
    ("securityProfile", Rule::Elsewhere),
    ("shareInfo", Rule::ReadOnly),
    ("supportedCapabilities", Rule::Free),
    ("supportsHibernation", Rule::Bool),
    ("tier", Rule::Elsewhere),
    ("timeCreated", Rule::ReadOnly),
    ("uniqueId", Rule::ReadOnly),
];

/// Managed disks.
pub(in crate::compute) struct Disks;

const FACTS: Facts = Facts { polls: POLLS, ..Facts::new(DISKS, API, Style::Accepted) };

impl Kind for Disks {
    fn facts(&self) -> &Facts {
        &FACTS
    }

    fn check_name(&self, name: &str) -> Result<(), Refusal> {
        body::check_name(name, "disk")
    }

    fn apply(&self, cx: &mut Cx<'_>, draft: &mut Draft<'_>) -> Result<(), Refusal> {
        body::keep_old(draft);
        body::apply(draft, PROPERTIES)?;
        match draft.asked()["maxShares"].as_u64() {
            None | Some(1) => {}
            Some(_) => return Err(body::invalid("maxShares").gap("shared disks")),
        }
        zones(draft)?;
        let sku = sku::apply(cx, draft, sku::DISKS)?;
        let origin = source::apply(cx, draft, DISKS)?;
        if let Some(origin) = &origin {
            let subscription = draft.id.subscription().unwrap_or_default();
            quota::check(cx, subscription, draft.location(), DISKS, sku.name)?;
            if sku.provisioned && matches!(origin, source::Origin::Image(..)) {
                return Err(invalid_because("sku.name", "a disk with an operating system can't have it."));
            }
            life::begin(cx, draft, origin);
        }
        let size = life::size(draft, origin.as_ref(), sku.largest)?;
        protection::apply(cx, draft, origin.as_ref(), sku)?;
        sku::perform(draft, sku, size)
    }

    fn stored(&self, cx: &mut Cx<'_>, resource: &Resource) -> Result<(), Refusal> {
        life::stored(cx, resource)
    }

    fn finish(
        &self,
        cx: &mut Cx<'_>,
        verb: &str,
        given: &Value,
        disk: &mut Resource,
    ) -> Result<Option<Value>, Refusal> {
        access::finish(cx, verb, given, disk)
    }

    fn result(&self, cx: &Cx<'_>, verb: &str, resource: &str, stored: Value) -> Result<Value, Refusal> {
        access::result(cx, verb, resource, stored)
    }

    fn may_delete(&self, cx: &Cx<'_>, disk: &Resource) -> Result<(), Refusal> {
        if let Some(user) = disk.body["managedBy"].as_str() {
            return Err(Refusal::new(
                409,
                "OperationNotAllowed",
                format!("Disk {} is attached to VM {user}.", disk.name),
            ));
        }
        life::check_no_access(cx, disk, "deleting")
    }

    fn destroy(&self, cx: &mut Cx<'_>, disk: &Resource) -> Result<(), Refusal> {
        life::destroy(cx, disk)
    }

    fn shown(&self, cx: &Cx<'_>, disk: &Resource) -> Result<Value, Refusal> {
        life::shown(cx, disk)
    }
}

/// Reads `zones`: at most one, and for good.
fn zones(draft: &mut Draft<'_>) -> Result<(), Refusal> {
    let given = &draft.given["zones"];
    if given.is_null() {
        return Ok(());
    }
    let fits = given.as_array().is_some_and(|zones| {
        zones.len() <= 1 && zones.iter().all(|zone| zone.as_str().is_some_and(|zone| ["1", "2", "3"].contains(&zone)))
    });
    if !fits {
        return Err(body::invalid("zones"));
    }
    if draft.old.is_some_and(|old| !old.body["zones"].is_null() && old.body["zones"] != *given) {
        return Err(body::fixed("zones"));
    }
    if given.as_array().is_some_and(|zones| !zones.is_empty()) {
        draft.body["zones"] = given.clone();
    }
    Ok(())
}
