//! What virtual machines do with disks.

use serde_json::{Value, json};

use super::disk::Disks;
use super::{life, protection};
use crate::arm::kind::{Change, Draft, Kind};
use crate::arm::resource::id_of;
use crate::compute::sets;
use crate::compute::volumes::image::PlatformImage;
use crate::cx::Cx;
use crate::encryption;
use crate::identity::principals;
use crate::refusal::Refusal;
use crate::resource_id::ResourceId;
use crate::store::resources::{self, Resource};

/// Application id of the Confidential VM Orchestrator, which takes the keys of confidential disks to their machines.
const ORCHESTRATOR: &str = "bf7b6499-ff71-4aa2-97a4-f372087be7f0";

/// The disk with the operating system that a virtual machine asks for.
#[derive(Debug)]
pub(crate) struct OsDisk<'a> {
    /// Id of the disk.
    pub id: ResourceId,
    /// Region.
    pub location: &'a str,
    /// Id of the virtual machine.
    pub user: &'a str,
    /// What it is made from.
    pub image: &'a PlatformImage,
    /// Size in GiB; that of the image when it is None.
    pub size: Option<u64>,
    /// SKU name, such as `Premium_LRS`.
    pub sku: Option<&'a str>,
    /// `diskEncryptionSet.id` of the managed disk.
    pub set: Option<&'a str>,
    /// `securityProfile` of the disk: `securityType` and, for a confidential disk under a customer's key,
    /// `secureVMDiskEncryptionSetId`.
    pub security: Value,
    /// Zones of the virtual machine.
    pub zones: Value,
    /// Tags of the disk.
    pub tags: Value,
}

/// Makes the disk with the operating system of a virtual machine that starts right away, and attaches it. The request's
/// caller must be the one who makes the virtual machine: it needs the right to read the disk encryption set.
///
/// # Errors
/// Those of `Disks_CreateOrUpdate`, and `ConflictingUserInput` when there is a disk of that name.
pub(crate) fn create_os_disk(cx: &mut Cx<'_>, asked: OsDisk<'_>) -> Result<Resource, Refusal> {
    if cx.resource(&asked.id.to_string())?.is_some() {
        return Err(Refusal::new(
            409,
            "ConflictingUserInput",
            format!(
                "Disk {} already exists in resource group {}.",
                asked.id.name(),
                asked.id.group().unwrap_or_default()
            ),
        ));
    }
    let subscription = asked.id.subscription().unwrap_or_default();
    let mut given = json!({
        "zones": asked.zones,
        "properties": {
            "creationData": {
                "createOption": "FromImage",
                "imageReference": { "id": asked.image.id(subscription, asked.location) },
            },
            "diskSizeGB": asked.size,
            "securityProfile": asked.security,
        },
    });
    if let Some(sku) = asked.sku {
        given["sku"] = json!({ "name": sku });
    }
    if let Some(set) = asked.set {
        given["properties"]["encryption"] = json!({ "diskEncryptionSetId": set });
    }
    let tags = if asked.tags.is_object() { asked.tags } else { json!({}) };
    let body = json!({ "location": asked.location, "tags": tags, "properties": {} });
    Disks.check_name(asked.id.name())?;
    let mut draft = Draft { id: asked.id, change: Change::Create, old: None, given: &given, body };
    Disks.apply(cx, &mut draft)?;
    let Draft { id, mut body, .. } = draft;
    body["properties"]["provisioningState"] = "Succeeded".into();
    body["properties"]["diskState"] = "Attached".into();
    body["managedBy"] = asked.user.into();
    let disk = cx.put_resource(&id, body)?;
    Disks.stored(cx, &disk)?;
    Ok(disk)
}

/// Attaches a disk to a virtual machine. `running`: it is in use at once, else reserved.
///
/// # Errors
/// `ResourceNotFound`; `OperationNotAllowed` when it is attached elsewhere, waits for an upload or can be read or
/// written with a signature.
#[cfg_attr(not(test), expect(dead_code, reason = "machines take no data disks yet"))]
pub(crate) fn attach(cx: &mut Cx<'_>, disk: &str, user: &str, running: bool) -> Result<Resource, Refusal> {
    let mut disk = existing(cx, disk)?;
    let refuse = |why: String| Err(Refusal::new(409, "OperationNotAllowed", why));
    if let Some(other) = disk.body["managedBy"].as_str().filter(|other| !other.eq_ignore_ascii_case(user)) {
        return refuse(format!("Disk {} is attached to VM {other}.", disk.name));
    }
    if disk.body["properties"]["diskState"] == "ReadyToUpload" {
        return refuse(format!("Disk {} can't be attached before it was uploaded.", disk.name));
    }
    life::check_no_access(cx, &disk, "attaching")?;
    disk.body["managedBy"] = user.into();
    own(cx, disk, if running { "Attached" } else { "Reserved" })
}

/// Takes a disk off its virtual machine; one that is gone or attached nowhere stays as it is.
pub(crate) fn detach(cx: &mut Cx<'_>, disk: &str) -> Result<(), Refusal> {
    let Some(mut disk) = cx.resource(disk)? else { return Ok(()) };
    if disk.body["managedBy"].is_null() {
        return Ok(());
    }
    if let Some(body) = disk.body.as_object_mut() {
        body.shift_remove("managedBy");
    }
    own(cx, disk, "Unattached").map(|_| ())
}

/// Notes that the virtual machine of an attached disk starts (`Attached`) or was deallocated (`Reserved`).
///
/// # Errors
/// `ResourceNotFound`; `OperationNotAllowed` at a start while the disk can be read with a signature.
pub(crate) fn set_power(cx: &mut Cx<'_>, disk: &str, running: bool) -> Result<(), Refusal> {
    let disk = existing(cx, disk)?;
    if running {
        life::check_no_access(cx, &disk, "starting the virtual machine of")?;
    }
    own(cx, disk, if running { "Attached" } else { "Reserved" }).map(|_| ())
}

/// Asks for the data key of a disk, as a start of its virtual machine does.
///
/// # Errors
/// `KeyVaultAccessForbidden`, `KeyVaultKeyNotEnabled`, `KeyVaultKeyNotFound`, `KeyVaultNotFound` or
/// `KeyVaultAccessTokenCannotBeAcquired` when a customer's key is out of reach.
pub(crate) fn require_key_available(cx: &mut Cx<'_>, disk: &str) -> Result<(), Refusal> {
    let disk = existing(cx, disk)?;
    let volume = life::volume(cx, &disk)?;
    life::open(cx, &volume).map(|_| ())
}

/// Asks whether the key of a confidential disk may be released to the platform's orchestrator, which takes it to the
/// virtual machine. Disks without a customer's key for confidential virtual machines need nothing; keys of a managed
/// HSM are judged by its own roles and are not asked here.
///
/// # Errors
/// `KeyVaultAccessForbidden`.
pub(crate) fn require_release(cx: &mut Cx<'_>, disk: &str) -> Result<(), Refusal> {
    let disk = existing(cx, disk)?;
    if disk.body["properties"]["securityProfile"]["secureVMDiskEncryptionSetId"].is_null() {
        return Ok(());
    }
    let key = encryption::get(cx.tx, &life::volume(cx, &disk)?.owner())?;
    let Some(by) = key.customer().filter(|by| by.vault_uri.ends_with(".vault.azure.net")) else { return Ok(()) };
    let vault = crate::keyvault::cmk::vault_policy(cx, &by.vault_uri);
    let scope = vault.map(|vault| format!("{}/keys/{}", vault.id, by.name)).unwrap_or_default();
    let orchestrator = principals::by_app_id(cx.tx, ORCHESTRATOR)?;
    let action = "Microsoft.KeyVault/vaults/keys/release/action";
    let allowed = match &orchestrator {
        Some(principal) if !scope.is_empty() => cx.allows(&principal.oid, action, true, &scope)?.allowed,
        _ => false,
    };
    if allowed {
        return Ok(());
    }
    let (set, url) = sets::locker(&key);
    Err(Refusal::new(
        403,
        "KeyVaultAccessForbidden",
        format!(
            "Unable to access key vault resource '{url}' to encrypt the disk of a confidential virtual machine. Please \
             grant get and release key permissions to the service principal 'Confidential VM Orchestrator' \
             ({ORCHESTRATOR}) for the key of disk encryption set '{set}'."
        ),
    ))
}

/// A disk of a running virtual machine whose key is out of reach.
#[derive(Debug)]
pub(crate) struct CutOff {
    /// Id of the disk.
    pub disk: String,
    /// Id of the virtual machine.
    pub user: String,
    /// Why, as a start would be refused.
    pub refusal: Refusal,
}

/// The disks of running virtual machines whose keys are out of reach: Azure shuts these machines down. Asks every key
/// that a running virtual machine needs, so call it once in a while, not with every request.
pub(crate) fn cut_off(cx: &mut Cx<'_>) -> Result<Vec<CutOff>, Refusal> {
    let mut found = Vec::new();
    for disk in resources::list(cx.tx, resources::Filter { kind: Some(super::DISKS), ..Default::default() })? {
        let user = disk.body["managedBy"].as_str();
        let (Some(user), "Attached") = (user, disk.body["properties"]["diskState"].as_str().unwrap_or_default()) else {
            continue;
        };
        if protection::set_of(&disk.body).is_none() {
            continue;
        }
        let volume = life::volume(cx, &disk)?;
        match life::open(cx, &volume) {
            Ok(_) => {}
            // What failed here is not the customer's doing.
            Err(refusal) if refusal.status >= 500 => {
                let cause = refusal.cause().unwrap_or(&refusal.message);
                tracing::error!(disk = disk.id, cause, "the key of a disk can't be asked for");
            }
            Err(refusal) => found.push(CutOff { disk: disk.id.clone(), user: user.to_owned(), refusal }),
        }
    }
    Ok(found)
}

/// Reads bytes of a disk as its virtual machine does.
///
/// # Errors
/// See [`require_key_available`].
#[cfg_attr(not(test), expect(dead_code, reason = "machines have no guests that use their disks yet"))]
pub(crate) fn read(cx: &mut Cx<'_>, disk: &str, start: u64, length: u64) -> Result<Vec<u8>, Refusal> {
    let disk = existing(cx, disk)?;
    let volume = life::volume(cx, &disk)?;
    let length = length.min(volume.length.saturating_sub(start));
    life::open(cx, &volume)?.read(cx, start, length)
}

/// Writes bytes to a disk as its virtual machine does; what lies beyond its end is left out.
///
/// # Errors
/// See [`require_key_available`].
#[cfg_attr(not(test), expect(dead_code, reason = "machines have no guests that use their disks yet"))]
pub(crate) fn write(cx: &mut Cx<'_>, disk: &str, start: u64, bytes: &[u8]) -> Result<(), Refusal> {
    let disk = existing(cx, disk)?;
    let volume = life::volume(cx, &disk)?;
    let room = usize::try_from(volume.length.saturating_sub(start)).unwrap_or(usize::MAX);
    let bytes = bytes.get(..room).unwrap_or(bytes);
    life::open(cx, &volume)?.write(cx, start, bytes)
}

fn existing(cx: &Cx<'_>, disk: &str) -> Result<Resource, Refusal> {
    let id = ResourceId::parse(disk).ok_or_else(|| Refusal::internal(format!("{disk} is no resource id")))?;
    cx.existing(&id)
}

/// Stores a disk with another state and the time at which it changed hands.
fn own(cx: &mut Cx<'_>, mut disk: Resource, state: &str) -> Result<Resource, Refusal> {
    disk.body["properties"]["diskState"] = state.into();
    disk.body["properties"]["LastOwnershipUpdateTime"] = crate::time::rfc3339(cx.now).into();
    resources::put(cx.tx, &id_of(&disk)?, disk.body, cx.now)
}
