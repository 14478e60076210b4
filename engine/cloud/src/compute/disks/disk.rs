//! `Microsoft.Compute/disks`.

use super::managed::Managed;
use super::{API, DISKS, life, protection, quota, sku, source};
use crate::arm::kind::{Draft, Facts, Style};
use crate::compute::body::{self, POLLS, Rule, invalid_because};
use crate::cx::Cx;
use crate::refusal::Refusal;
use crate::store::resources::Resource;

const PROPERTIES: &[(&str, Rule)] = &[
    ("LastOwnershipUpdateTime", Rule::ReadOnly),
    ("availabilityPolicy", Rule::Free),
    ("burstingEnabled", Rule::Bool),
    ("burstingEnabledTime", Rule::ReadOnly),
    ("diskIOPSReadOnly", Rule::Lacking("shared disks")),
    ("diskIOPSReadWrite", Rule::Elsewhere),
    ("diskMBpsReadOnly", Rule::Lacking("shared disks")),
    ("diskMBpsReadWrite", Rule::Elsewhere),
    ("maxShares", Rule::Elsewhere),
    ("optimizedForFrequentAttach", Rule::Bool),
    ("propertyUpdatesInProgress", Rule::ReadOnly),
    ("shareInfo", Rule::ReadOnly),
    ("tier", Rule::Elsewhere),
];

/// Managed disks.
pub(in crate::compute) struct Disks;

impl Managed for Disks {
    const FACTS: Facts = Facts { polls: POLLS, ..Facts::new(DISKS, API, Style::Accepted) };
    const WORD: &'static str = "disk";
    const PROPERTIES: &'static [(&'static str, Rule)] = PROPERTIES;

    fn apply(&self, cx: &mut Cx<'_>, draft: &mut Draft<'_>) -> Result<(), Refusal> {
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
