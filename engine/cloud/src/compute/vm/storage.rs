//! `storageProfile`: the image that a machine starts from and its OS disk.

use serde_json::{Value, json};

use super::body::{bad, fixed, invalid, missing, only, word};
use crate::arm::kind::Draft;
use crate::compute::disks::DISKS;
use crate::compute::disks::hooks::{self, OsDisk};
use crate::compute::images::{self, Image};
use crate::compute::sizes::Size;
use crate::compute::volumes::image::PlatformImage;
use crate::cx::Cx;
use crate::refusal::Refusal;
use crate::resource_id::ResourceId;

/// A checked `storageProfile`.
pub(super) struct Checked {
    /// As it is answered.
    pub shown: Value,
    /// The image; `None` for a machine of which the embedded Azure no longer has the image.
    pub image: Option<&'static Image>,
    /// `Linux` or `Windows`.
    pub os: String,
}

/// Checks what is asked of a new machine. The OS disk does not exist yet; [`create`] makes it.
pub(super) fn check(draft: &Draft<'_>, asked: &Value, size: &Size) -> Result<Checked, Refusal> {
    let profile = &asked["storageProfile"];
    if profile.is_null() {
        return Err(missing("storageProfile"));
    }
    only(profile, "storageProfile", &["imageReference", "osDisk", "dataDisks", "diskControllerType"])?;
    if profile["dataDisks"].as_array().is_some_and(|disks| !disks.is_empty()) {
        return Err(invalid("dataDisks", "Data disks are not supported.").gap("virtual machines: dataDisks"));
    }
    let controller = match &profile["diskControllerType"] {
        Value::Null => "SCSI",
        given => {
            word(given, "storageProfile.diskControllerType", &["SCSI"]).map_err(|r| r.gap("NVMe disk controllers"))?
        }
    };
    let (image, reference) = image(&profile["imageReference"])?;
    if image.generation == "V1" && size.confidential.is_some() {
        return Err(bad(format!(
            "The selected VM size '{}' cannot boot Hypervisor Generation '1'. If this was a Create operation please check \
             that the Hypervisor Generation of the Image matches the Hypervisor Generation of the selected VM Size. If this \
             was an Update operation please select a Hypervisor Generation '1' VM Size. For more information, see \
             https://aka.ms/azuregen2vm",
            size.name
        )));
    }
    let shown = json!({
        "imageReference": reference,
        "osDisk": os_disk(draft, &profile["osDisk"], image)?,
        "dataDisks": [],
        "diskControllerType": controller,
    });
    Ok(Checked { shown, image: Some(image), os: image.os.to_owned() })
}

/// What a machine that exists has, when the body asks for nothing else.
pub(super) fn keep(old: &Value, asked: &Value) -> Result<Checked, Refusal> {
    let profile = &asked["storageProfile"];
    let kept = &old["storageProfile"];
    let differs = |given: &Value, held: &Value| match (given.as_str(), held.as_str()) {
        (Some(given), Some(held)) => !given.eq_ignore_ascii_case(held),
        (Some(_), None) => true,
        (None, _) => false,
    };
    let reference = &profile["imageReference"];
    for member in ["publisher", "offer", "sku", "version", "id"] {
        if differs(&reference[member], &kept["imageReference"][member]) {
            return Err(fixed("imageReference"));
        }
    }
    let (disk, held) = (&profile["osDisk"], &kept["osDisk"]);
    for path in ["/name", "/createOption", "/managedDisk/id", "/managedDisk/diskEncryptionSet/id"] {
        if differs(disk.pointer(path).unwrap_or(&Value::Null), held.pointer(path).unwrap_or(&Value::Null)) {
            return Err(fixed(&format!("osDisk{}", path.replace('/', "."))));
        }
    }
    let security = &disk["managedDisk"]["securityProfile"];
    if !security.is_null()
        && security["securityEncryptionType"] != held["managedDisk"]["securityProfile"]["securityEncryptionType"]
    {
        return Err(fixed("osDisk.managedDisk.securityProfile"));
    }
    if profile["dataDisks"].as_array().is_some_and(|disks| !disks.is_empty()) {
        return Err(invalid("dataDisks", "Data disks are not supported.").gap("virtual machines: dataDisks"));
    }
    let mut shown = kept.clone();
    if disk["deleteOption"].is_string() {
        shown["osDisk"]["deleteOption"] =
            word(&disk["deleteOption"], "osDisk.deleteOption", &["Delete", "Detach"])?.into();
    }
    let text = |member: &str| kept["imageReference"][member].as_str().unwrap_or_default();
    let image = images::find(text("publisher"), text("offer"), text("sku"));
    let os = held["osType"].as_str().unwrap_or_default().to_owned();
    Ok(Checked { shown, image, os })
}

/// The image of a reference, and the reference with `exactVersion`.
fn image(given: &Value) -> Result<(&'static Image, Value), Refusal> {
    only(given, "imageReference", &["publisher", "offer", "sku", "version", "exactVersion"])?;
    let text = |member: &str| given[member].as_str().ok_or_else(|| missing(&format!("imageReference.{member}")));
    let (publisher, offer, sku, version) = (text("publisher")?, text("offer")?, text("sku")?, text("version")?);
    let found = images::find(publisher, offer, sku);
    let exact = found.and_then(|image| {
        if version.eq_ignore_ascii_case("latest") {
            return Some((image, image.latest()));
        }
        image.versions.iter().find(|v| **v == version).map(|v| (image, *v))
    });
    let Some((image, exact)) = exact else {
        return Err(Refusal::new(
            404,
            "PlatformImageNotFound",
            format!(
                "The platform image '{publisher}:{offer}:{sku}:{version}' is not available. Verify that all fields in the \
                 storage profile are correct. For more details about storage profile information, please refer to \
                 https://aka.ms/storageprofile"
            ),
        ));
    };
    let reference =
        json!({ "publisher": publisher, "offer": offer, "sku": sku, "version": version, "exactVersion": exact });
    Ok((image, reference))
}

fn os_disk(draft: &Draft<'_>, given: &Value, image: &Image) -> Result<Value, Refusal> {
    const KNOWN: &[&str] =
        &["osType", "name", "caching", "createOption", "diskSizeGB", "diskSizeGb", "managedDisk", "deleteOption"];
    if given.is_null() {
        return Err(missing("osDisk"));
    }
    only(given, "osDisk", KNOWN)?;
    let managed = &given["managedDisk"];
    only(managed, "osDisk.managedDisk", &["storageAccountType", "diskEncryptionSet", "securityProfile"])?;
    let security = &managed["securityProfile"];
    only(security, "osDisk.managedDisk.securityProfile", &["securityEncryptionType", "diskEncryptionSet"])?;
    word(&given["createOption"], "storageProfile.osDisk.createOption", &["FromImage"])
        .map_err(|refusal| refusal.gap("virtual machines: OS disks that are not made from an image"))?;
    let optional = |value: &Value, path: &str, words: &[&'static str], default: &'static str| match value {
        Value::Null => Ok(default),
        value => word(value, path, words),
    };
    let size = if given["diskSizeGB"].is_null() { &given["diskSizeGb"] } else { &given["diskSizeGB"] };
    let size = match size {
        Value::Null => image.disk,
        size => size.as_u64().and_then(|gb| u32::try_from(gb).ok()).filter(|gb| (image.disk..=4_095).contains(gb)).ok_or_else(|| {
            let message = format!(
                "The value '{size}' of parameter 'osDisk.diskSizeGB' is out of range. The value must be between '{}' and \
                 '4095', inclusive.",
                image.disk
            );
            invalid("osDisk.diskSizeGB", &message)
        })?,
    };
    let [a, b] = [draft.id.name(), &hex::encode(uuid::Uuid::new_v4().as_bytes())].map(str::to_owned);
    let name = given["name"].as_str().map_or_else(|| format!("{a}_OsDisk_1_{b}"), str::to_owned);
    let id = disk_id(&draft.id, &name)?;
    let sku = optional(
        &managed["storageAccountType"],
        "storageProfile.osDisk.managedDisk.storageAccountType",
        &["Standard_LRS", "Premium_LRS", "StandardSSD_LRS", "Premium_ZRS", "StandardSSD_ZRS"],
        "Premium_LRS",
    )?;
    let mut managed_disk = json!({ "storageAccountType": sku });
    if let Some(set) = managed["diskEncryptionSet"]["id"].as_str() {
        managed_disk["diskEncryptionSet"] = json!({ "id": set });
    }
    if let Some(kind) = security["securityEncryptionType"].as_str() {
        managed_disk["securityProfile"] = json!({ "securityEncryptionType": kind });
        if let Some(set) = security["diskEncryptionSet"]["id"].as_str() {
            managed_disk["securityProfile"]["diskEncryptionSet"] = json!({ "id": set });
        }
    }
    managed_disk["id"] = id.to_string().into();
    Ok(json!({
        "osType": image.os,
        "name": name,
        "createOption": "FromImage",
        "caching": optional(&given["caching"], "storageProfile.osDisk.caching", &["None", "ReadOnly", "ReadWrite"], "ReadWrite")?,
        "managedDisk": managed_disk,
        "deleteOption": optional(&given["deleteOption"], "storageProfile.osDisk.deleteOption", &["Delete", "Detach"], "Detach")?,
        "diskSizeGB": size,
    }))
}

fn disk_id(machine: &ResourceId, name: &str) -> Result<ResourceId, Refusal> {
    let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c));
    if name.is_empty() || name.len() > 80 || !plain {
        return Err(invalid("osDisk.name", &format!("The value '{name}' of parameter 'osDisk.name' is invalid.")));
    }
    let (subscription, group) = (machine.subscription().unwrap_or_default(), machine.group().unwrap_or_default());
    Ok(ResourceId::resource(subscription, group, DISKS, name))
}

/// Makes the OS disk of a machine that was checked and stored. A confidential disk under a customer's key needs that the
/// platform may take the key to the machine.
pub(super) fn create(cx: &mut Cx<'_>, machine: &ResourceId, body: &Value) -> Result<(), Refusal> {
    let properties = &body["properties"];
    let disk = &properties["storageProfile"]["osDisk"];
    let managed = &disk["managedDisk"];
    let reference = &properties["storageProfile"]["imageReference"];
    let text = |member: &str| reference[member].as_str().unwrap_or_default().to_owned();
    let image = PlatformImage {
        publisher: text("publisher"),
        offer: text("offer"),
        sku: text("sku"),
        version: text("exactVersion"),
    };
    let made = hooks::create_os_disk(
        cx,
        OsDisk {
            id: disk_id(machine, disk["name"].as_str().unwrap_or_default())?,
            location: body["location"].as_str().unwrap_or_default(),
            user: &machine.to_string(),
            image: &image,
            size: disk["diskSizeGB"].as_u64(),
            sku: managed["storageAccountType"].as_str(),
            set: managed["diskEncryptionSet"]["id"].as_str(),
            security: disk_security(properties),
            zones: body["zones"].clone(),
            tags: body["tags"].clone(),
        },
    )?;
    hooks::require_release(cx, &made.id)
}

/// `securityProfile` of the OS disk of a machine; null for an ordinary one.
fn disk_security(properties: &Value) -> Value {
    let profile = &properties["storageProfile"]["osDisk"]["managedDisk"]["securityProfile"];
    let set = &profile["diskEncryptionSet"]["id"];
    match properties["securityProfile"]["securityType"].as_str() {
        Some("TrustedLaunch") => json!({ "securityType": "TrustedLaunch" }),
        Some("ConfidentialVM") if profile["securityEncryptionType"] == "VMGuestStateOnly" => {
            json!({ "securityType": "ConfidentialVM_VMGuestStateOnlyEncryptedWithPlatformKey" })
        }
        Some("ConfidentialVM") if set.is_string() => json!({
            "securityType": "ConfidentialVM_DiskEncryptedWithCustomerKey",
            "secureVMDiskEncryptionSetId": set,
        }),
        Some("ConfidentialVM") => json!({ "securityType": "ConfidentialVM_DiskEncryptedWithPlatformKey" }),
        _ => Value::Null,
    }
}
