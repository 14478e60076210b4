//! Who protects the content of a disk or snapshot: `encryption` and `securityProfile`.
//!
//! Source: restrictions in <https://learn.microsoft.com/azure/virtual-machines/disk-encryption>.

use serde_json::{Value, json};

use super::SNAPSHOTS;
use super::sku::Sku;
use super::source::Origin;
use crate::arm::kind::{Change, Draft};
use crate::arm::linked;
use crate::compute::body::{fixed, invalid, invalid_because};
use crate::compute::sets::{CONFIDENTIAL, CUSTOMER, DOUBLE, SETS};
use crate::cx::Cx;
use crate::refusal::Refusal;
use crate::resource_id::ResourceId;
use crate::store::resources::Resource;

const PLATFORM: &str = "EncryptionAtRestWithPlatformKey";

const TRUSTED: &str = "TrustedLaunch";
/// The security type whose disks a customer's key protects.
const CONFIDENTIAL_CUSTOMER: &str = "ConfidentialVM_DiskEncryptedWithCustomerKey";
const SECURITY_TYPES: &[&str] = &[
    TRUSTED,
    "ConfidentialVM_VMGuestStateOnlyEncryptedWithPlatformKey",
    "ConfidentialVM_DiskEncryptedWithPlatformKey",
    CONFIDENTIAL_CUSTOMER,
    "ConfidentialVM_NonPersistedTPM",
];

/// Id of the disk encryption set that protects what a document describes.
pub(super) fn set_of(body: &Value) -> Option<&str> {
    let properties = &body["properties"];
    properties["encryption"]["diskEncryptionSetId"]
        .as_str()
        .or(properties["securityProfile"]["secureVMDiskEncryptionSetId"].as_str())
}

/// Judges what a body says and writes it into the document; something new takes after its origin.
pub(super) fn apply(cx: &Cx<'_>, draft: &mut Draft<'_>, origin: Option<&Origin>, sku: &Sku) -> Result<(), Refusal> {
    let inherited = match origin {
        Some(Origin::Copy(source)) => source.body["properties"].clone(),
        _ => Value::Null,
    };
    encryption(cx, draft, &inherited, sku)?;
    security(cx, draft, origin, &inherited)
}

fn encryption(cx: &Cx<'_>, draft: &mut Draft<'_>, inherited: &Value, sku: &Sku) -> Result<(), Refusal> {
    let given = draft.asked()["encryption"].clone();
    let old = draft.body["properties"]["encryption"].clone();
    let before = match (&old, &inherited["encryption"]) {
        (Value::Null, Value::Null) => json!({ "type": PLATFORM }),
        (Value::Null, inherited) => inherited.clone(),
        (old, _) => old.clone(),
    };
    let named = given["diskEncryptionSetId"].as_str().filter(|id| !id.is_empty());
    let wanted = match given["type"].as_str() {
        None if named.is_none() => before.clone(),
        Some(kind) if kind.eq_ignore_ascii_case(PLATFORM) => {
            if named.is_some() {
                return Err(invalid_because(
                    "encryption.diskEncryptionSetId",
                    "a disk encryption set can't be used with platform-managed keys.",
                ));
            }
            json!({ "type": PLATFORM })
        }
        kind => {
            let set = named.or(before["diskEncryptionSetId"].as_str()).ok_or_else(|| {
                invalid_because("encryption.diskEncryptionSetId", "encryption with customer-managed keys needs a set.")
            })?;
            let set = require_set(cx, draft, set)?;
            let is = set.body["properties"]["encryptionType"].as_str().unwrap_or_default();
            let kind = kind.unwrap_or(if is == DOUBLE { DOUBLE } else { CUSTOMER });
            let kind = [CUSTOMER, DOUBLE]
                .into_iter()
                .find(|known| known.eq_ignore_ascii_case(kind))
                .ok_or_else(|| invalid("encryption.type"))?;
            same_type(is, kind)?;
            json!({ "type": kind, "diskEncryptionSetId": set.id })
        }
    };
    if let Some(set) = wanted["diskEncryptionSetId"].as_str() {
        let set = require_set(cx, draft, set)?;
        if sku.provisioned && !set.body["identity"]["userAssignedIdentities"].is_null() {
            return Err(Refusal::new(
                400,
                "InvalidParameter",
                format!(
                    "DiskEncryptionSet '{}' with UserAssigned identity type is not supported for disk '{}' since it \
                     has '{}' SKU.",
                    set.name,
                    draft.id.name(),
                    sku.name
                ),
            ));
        }
    }
    if draft.change != Change::Create && wanted != before {
        check_change(cx, draft)?;
    }
    if draft.body["properties"]["incremental"] == true && wanted != before {
        return Err(invalid_because("encryption", "an incremental snapshot is encrypted like its source."));
    }
    draft.properties()["encryption"] = wanted;
    Ok(())
}

/// Refuses another encryption for a disk that runs, or that incremental snapshots hang on.
fn check_change(cx: &Cx<'_>, draft: &Draft<'_>) -> Result<(), Refusal> {
    let name = draft.id.name();
    let refuse = |why: String| Err(Refusal::new(409, "OperationNotAllowed", why));
    if draft.body["properties"]["diskState"] == "Attached" {
        return refuse(format!(
            "The encryption of disk '{name}' can't change while a running virtual machine uses it. Deallocate '{}' \
             first.",
            draft.body["managedBy"].as_str().unwrap_or_default()
        ));
    }
    let incremental = |user: &Resource| user.kind == SNAPSHOTS && user.body["properties"]["incremental"] == true;
    if linked::users(cx, &draft.id.to_string())?.iter().any(incremental) {
        return refuse(format!(
            "Cannot update encryption properties for disk '{name}' because it already has incremental snapshots."
        ));
    }
    Ok(())
}

fn security(cx: &Cx<'_>, draft: &mut Draft<'_>, origin: Option<&Origin>, inherited: &Value) -> Result<(), Refusal> {
    let given = draft.asked()["securityProfile"].clone();
    let old = draft.body["properties"]["securityProfile"].clone();
    if draft.change != Change::Create {
        for name in ["securityType", "secureVMDiskEncryptionSetId"] {
            let (given, old) = (given[name].as_str(), old[name].as_str());
            if given.is_some_and(|given| !old.is_some_and(|old| old.eq_ignore_ascii_case(given))) {
                return Err(fixed(&format!("securityProfile.{name}")));
            }
        }
        return Ok(());
    }
    let inherited = &inherited["securityProfile"];
    let profile = if given.is_null() { inherited } else { &given };
    let Some(kind) = profile["securityType"].as_str() else {
        return if profile.is_null() { Ok(()) } else { Err(invalid("securityProfile.securityType")) };
    };
    let kind = SECURITY_TYPES
        .iter()
        .find(|known| known.eq_ignore_ascii_case(kind))
        .ok_or_else(|| invalid("securityProfile.securityType"))?;
    if !inherited.is_null() && inherited["securityType"] != *kind {
        return Err(invalid_because("securityProfile.securityType", "it must be that of the source."));
    }
    if matches!(origin, Some(Origin::Empty)) {
        return Err(invalid_because("securityProfile.securityType", "an empty disk has no security type."));
    }
    if draft.body["properties"]["hyperVGeneration"] != "V2" {
        return Err(invalid_because("hyperVGeneration", &format!("{kind} needs generation V2.")));
    }
    let mut shown = json!({ "securityType": kind });
    let set = profile["secureVMDiskEncryptionSetId"].as_str().filter(|set| !set.is_empty());
    match (*kind == CONFIDENTIAL_CUSTOMER, set) {
        (false, None) => {}
        (true, Some(set)) => {
            let set = require_set(cx, draft, set)?;
            same_type(set.body["properties"]["encryptionType"].as_str().unwrap_or_default(), CONFIDENTIAL)?;
            if draft.body["properties"]["encryption"]["type"] != PLATFORM {
                return Err(invalid_because("encryption", "the disk is encrypted with its confidential key already."));
            }
            if let Some(Origin::Copy(source)) = origin {
                let other = ResourceId::parse(&source.id).and_then(|id| id.subscription().map(str::to_owned));
                if other.as_deref() != draft.id.subscription() {
                    return Err(invalid_because(
                        "creationData.sourceResourceId",
                        "a confidential disk under a customer's key can't be copied to another subscription.",
                    ));
                }
            }
            shown["secureVMDiskEncryptionSetId"] = set.id.into();
        }
        (true, None) => {
            return Err(invalid_because(
                "securityProfile.secureVMDiskEncryptionSetId",
                &format!("{kind} needs a set."),
            ));
        }
        (false, Some(_)) => {
            return Err(invalid_because(
                "securityProfile.secureVMDiskEncryptionSetId",
                &format!("it can only be set with {CONFIDENTIAL_CUSTOMER}."),
            ));
        }
    }
    draft.properties()["securityProfile"] = shown;
    Ok(())
}

/// A disk encryption set that the caller may use here: it exists, in the same region and subscription.
fn require_set(cx: &Cx<'_>, draft: &Draft<'_>, set: &str) -> Result<Resource, Refusal> {
    let found = linked::require(cx, &draft.id, set, "Microsoft.Compute/diskEncryptionSets/read")?;
    let subscription = draft.id.subscription().unwrap_or_default();
    let why = if found.kind != SETS {
        "it is no disk encryption set."
    } else if found.location.as_deref() != Some(draft.location()) {
        "the disk encryption set must be in the same region."
    } else if !found.subscription.eq_ignore_ascii_case(subscription) {
        "the disk encryption set must be in the same subscription."
    } else {
        return Ok(found);
    };
    Err(invalid_because("diskEncryptionSetId", why))
}

fn same_type(is: &str, needed: &str) -> Result<(), Refusal> {
    if is == needed {
        return Ok(());
    }
    Err(Refusal::new(
        400,
        "InvalidParameter",
        format!(
            "The type of the Disk Encryption Set in the request is '{is}', but this resource can only be encrypted \
             with a Disk Encryption Set of type '{needed}'."
        ),
    ))
}
