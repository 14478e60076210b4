//! What a virtual machine needs of managed disks.

use serde_json::{Value, json};

use super::body::invalid;
use crate::arm::{identity, linked};
use crate::compute::images;
use crate::cx::Cx;
use crate::keyvault::cmk::{self, CmkError, KeyAt, Wrap};
use crate::refusal::Refusal;
use crate::resource_id::ResourceId;
use crate::store::resources::Resource;

/// Type of managed disks.
pub(super) const NAME: &str = "Microsoft.Compute/disks";
const CONFIDENTIAL: &str = "ConfidentialVmEncryptedWithCustomerKey";

/// An OS disk to be.
pub(super) struct NewOsDisk {
    pub id: ResourceId,
    /// Id of the machine that will have it.
    pub machine: String,
    pub location: String,
    /// `Linux` or `Windows`.
    pub os: String,
    pub sku: String,
    /// GB.
    pub size: u64,
    /// `imageReference` of the machine.
    pub image: Value,
    /// `TrustedLaunch` or `ConfidentialVM`.
    pub security: Option<String>,
    /// `VMGuestStateOnly` or `DiskWithVMGuestState`.
    pub encryption: Option<String>,
    /// Id of a disk encryption set for encryption at rest.
    pub set: Option<String>,
    /// Id of a disk encryption set for the confidential disk.
    pub confidential_set: Option<String>,
}

/// The disk encryption set that a machine's disk wants, of the right type and in the right place.
fn set(cx: &Cx<'_>, new: &NewOsDisk, id: &str, confidential: bool) -> Result<Resource, Refusal> {
    let set = linked::require(cx, &new.id, id, "Microsoft.Compute/diskEncryptionSets/read")?;
    let kind = set.body["properties"]["encryptionType"].as_str().unwrap_or_default();
    if (kind == CONFIDENTIAL) != confidential {
        return Err(invalid(
            "diskEncryptionSet",
            &format!("Disk encryption set '{}' with encryption type '{kind}' can't be used for this disk.", set.name),
        ));
    }
    if set.location.as_deref() != Some(new.location.as_str()) {
        return Err(invalid(
            "diskEncryptionSet",
            &format!("Disk encryption set '{}' is not in region '{}' of the disk.", set.name, new.location),
        ));
    }
    Ok(set)
}

/// Makes an OS disk out of an image and attaches it to its machine.
pub(super) fn create_os_disk(cx: &mut Cx<'_>, new: &NewOsDisk) -> Result<(), Refusal> {
    if cx.resource(&new.id.to_string())?.is_some() {
        return Err(Refusal::new(
            409,
            "ConflictingUserInput",
            format!("Disk {} already exists in resource group {}.", new.id.name(), new.id.group().unwrap_or_default()),
        ));
    }
    let mut encryption = json!({ "type": "EncryptionAtRestWithPlatformKey" });
    if let Some(id) = &new.set {
        let set = set(cx, new, id, false)?;
        encryption = json!({ "type": set.body["properties"]["encryptionType"], "diskEncryptionSetId": set.id });
    }
    let text = |member: &str| new.image[member].as_str().unwrap_or_default();
    let generation = images::find(text("publisher"), text("offer"), text("sku")).map_or("V1", |image| image.generation);
    let mut properties = json!({
        "osType": new.os,
        "hyperVGeneration": generation,
        "creationData": { "createOption": "FromImage" },
        "diskSizeGB": new.size,
        "diskState": "Attached",
        "encryption": encryption,
        "timeCreated": crate::time::rfc3339(cx.now),
        "uniqueId": uuid::Uuid::new_v4().to_string(),
        "provisioningState": "Succeeded",
    });
    let security = match (new.security.as_deref(), new.encryption.as_deref(), &new.confidential_set) {
        (Some("ConfidentialVM"), Some("VMGuestStateOnly"), _) => {
            Some(json!({ "securityType": "ConfidentialVM_VMGuestStateOnlyEncryptedWithPlatformKey" }))
        }
        (Some("ConfidentialVM"), _, None) => {
            Some(json!({ "securityType": "ConfidentialVM_DiskEncryptedWithPlatformKey" }))
        }
        (Some("ConfidentialVM"), _, Some(id)) => {
            let set = set(cx, new, id, true)?;
            Some(json!({
                "securityType": "ConfidentialVM_DiskEncryptedWithCustomerKey",
                "secureVMDiskEncryptionSetId": set.id,
            }))
        }
        (Some(kind), ..) => Some(json!({ "securityType": kind })),
        (None, ..) => None,
    };
    if let Some(security) = security {
        properties["securityProfile"] = security;
    }
    let document = json!({
        "location": new.location,
        "tags": {},
        "managedBy": new.machine,
        "sku": { "name": new.sku, "tier": new.sku.split('_').next().unwrap_or_default() },
        "properties": properties,
    });
    cx.put_resource(&new.id, document)?;
    require_key_available(cx, &new.id.to_string())
}

/// Takes a disk off its machine.
pub(super) fn detach(cx: &mut Cx<'_>, disk: &str) -> Result<(), Refusal> {
    let Some(disk) = cx.resource(disk)? else { return Ok(()) };
    let id = crate::arm::resource::id_of(&disk)?;
    let mut body = disk.body;
    if let Some(body) = body.as_object_mut() {
        body.shift_remove("managedBy");
    }
    body["properties"]["diskState"] = "Unattached".into();
    crate::store::resources::put(cx.tx, &id, body, cx.now)?;
    Ok(())
}

/// Deletes a disk together with its machine.
pub(super) fn delete(cx: &mut Cx<'_>, disk: &str) -> Result<(), Refusal> {
    match cx.resource(disk)? {
        Some(disk) => crate::arm::resource::remove(cx, &disk),
        None => Ok(()),
    }
}

/// Whether a customer's key protects a disk.
pub(super) fn has_key(disk: &Resource) -> bool {
    set_of(disk).is_some()
}

fn set_of(disk: &Resource) -> Option<&str> {
    let properties = &disk.body["properties"];
    let confidential = properties["securityProfile"]["secureVMDiskEncryptionSetId"].as_str();
    confidential.or_else(|| properties["encryption"]["diskEncryptionSetId"].as_str())
}

/// Refuses a disk whose key can't be used now.
pub(super) fn require_key_available(cx: &mut Cx<'_>, disk: &str) -> Result<(), Refusal> {
    let Some(disk) = cx.resource(disk)? else { return Ok(()) };
    let Some(set) = set_of(&disk).map(|id| cx.resource(id)).transpose()?.flatten() else { return Ok(()) };
    let url = set.body["properties"]["activeKey"]["keyUrl"].as_str().unwrap_or_default();
    let Some((vault, key)) = url.split_once("/keys/") else { return Ok(()) };
    let (name, version) = key.split_once('/').unwrap_or((key, ""));
    let principal = identity::system(&set.body["identity"]).unwrap_or_default();
    let at = KeyAt { vault_uri: vault, name, version: Some(version) };
    let probe = cx.random::<32>();
    match cmk::service_wrap(cx, principal, &at, Wrap::Wrap, &probe) {
        Ok(_) => Ok(()),
        Err(error) => Err(refusal(error, &set.name, url)),
    }
}

fn refusal(error: CmkError, set: &str, url: &str) -> Refusal {
    let (status, code) = match error {
        CmkError::Internal(refusal) => return refusal,
        CmkError::KeyDisabled => (400, "KeyVaultKeyNotEnabled"),
        CmkError::KeyNotFound | CmkError::BadCiphertext => (400, "KeyVaultKeyNotFound"),
        CmkError::VaultNotFound => (400, "KeyVaultNotFound"),
        _ => (403, "KeyVaultAccessForbidden"),
    };
    Refusal::new(status, code, format!("The key '{url}' of disk encryption set '{set}' can't be used: {error}."))
}
