//! `securityProfile`: trusted launch, confidential machines, and what they need of size, image and disk.
//!
//! Sources: <https://learn.microsoft.com/azure/virtual-machines/trusted-launch>,
//! <https://learn.microsoft.com/azure/confidential-computing/confidential-vm-overview>.

use serde_json::{Value, json};

use super::body::{bad, invalid, only, word};
use crate::compute::images::Image;
use crate::compute::sizes::Size;
use crate::refusal::Refusal;

/// What a machine's security is checked against.
pub(super) struct Setting<'a> {
    pub size: &'a Size,
    pub image: Option<&'a Image>,
    /// `osDisk.managedDisk.securityProfile`.
    pub disk: &'a Value,
}

/// Checks a `securityProfile` and returns it; null when there is none.
pub(super) fn check(given: &Value, setting: &Setting<'_>) -> Result<Value, Refusal> {
    only(given, "securityProfile", &["securityType", "uefiSettings", "encryptionAtHost", "encryptionIdentity"])?;
    if given["encryptionAtHost"] == true {
        return Err(invalid(
            "securityProfile.encryptionAtHost",
            "The property 'securityProfile.encryptionAtHost' is not valid because the \
             'Microsoft.Compute/EncryptionAtHost' feature is not enabled for this subscription.",
        )
        .gap("encryption at host"));
    }
    if !given["encryptionIdentity"].is_null() {
        return Err(invalid("securityProfile.encryptionIdentity", "The encryption identity is not supported.")
            .gap("securityProfile.encryptionIdentity"));
    }
    let kinds = &["Standard", "TrustedLaunch", "ConfidentialVM"];
    let kind = match &given["securityType"] {
        Value::Null => None,
        kind => Some(word(kind, "securityProfile.securityType", kinds)?),
    };
    let uefi = &given["uefiSettings"];
    only(uefi, "securityProfile.uefiSettings", &["secureBootEnabled", "vTpmEnabled"])?;
    check_size(kind, setting)?;
    match kind {
        Some("ConfidentialVM") => confidential(uefi, setting)?,
        _ if !setting.disk.is_null() => {
            return Err(invalid(
                "osDisk.managedDisk.securityProfile",
                "The 'managedDisk.securityProfile' can be set only for virtual machines with security type \
                 'ConfidentialVM'.",
            ));
        }
        Some("TrustedLaunch") => trusted(setting)?,
        _ if !uefi.is_null() => {
            return Err(invalid(
                "securityProfile.uefiSettings",
                "UEFI settings can be set only together with security type 'TrustedLaunch' or 'ConfidentialVM'.",
            ));
        }
        _ => {}
    }
    let Some(kind) = kind else { return Ok(Value::Null) };
    let mut shown = json!({ "securityType": kind });
    if kind != "Standard" {
        let flag = |name: &str| uefi[name].as_bool().unwrap_or_default();
        shown["uefiSettings"] =
            json!({ "secureBootEnabled": flag("secureBootEnabled"), "vTpmEnabled": flag("vTpmEnabled") });
    }
    Ok(shown)
}

/// Confidential sizes are for confidential machines, and for nothing else.
fn check_size(kind: Option<&str>, setting: &Setting<'_>) -> Result<(), Refusal> {
    if setting.size.confidential.is_some() == (kind == Some("ConfidentialVM")) {
        return Ok(());
    }
    let encryption = match setting.disk["securityEncryptionType"].as_str() {
        Some(encryption) => format!(" and managedDisk.securityProfile.securityEncryptionType set as '{encryption}'"),
        None => String::new(),
    };
    Err(bad(format!(
        "The VM size '{}' is not supported for creation of VMs and Virtual Machine Scale Set with '{}' security \
         type{encryption}.",
        setting.size.name,
        kind.unwrap_or("<NULL>"),
    )))
}

fn trusted(setting: &Setting<'_>) -> Result<(), Refusal> {
    if setting.image.is_none_or(Image::is_trusted) {
        return Ok(());
    }
    Err(bad(
        "Use of TrustedLaunch setting is not supported for the provided image. Please select Trusted Launch Supported Gen2 \
         OS Image. For more information, see https://aka.ms/TrustedLaunch-FAQ.",
    ))
}

fn confidential(uefi: &Value, setting: &Setting<'_>) -> Result<(), Refusal> {
    let given = &setting.disk["securityEncryptionType"];
    if given.is_null() {
        return Err(bad(
            "Required parameter for Confidential VMs 'managedDisk.securityProfile.securityEncryptionType' is missing (null).",
        ));
    }
    let path = "osDisk.managedDisk.securityProfile.securityEncryptionType";
    let encryption = word(given, path, &["VMGuestStateOnly", "DiskWithVMGuestState", "NonPersistedTPM"])?;
    if encryption == "NonPersistedTPM" {
        return Err(invalid(path, "The security encryption type 'NonPersistedTPM' is not supported.").gap(encryption));
    }
    let with_key = !setting.disk["diskEncryptionSet"]["id"].is_null();
    if with_key && encryption != "DiskWithVMGuestState" {
        return Err(invalid(
            "osDisk.managedDisk.securityProfile.diskEncryptionSet",
            "A disk encryption set needs security encryption type 'DiskWithVMGuestState'.",
        ));
    }
    if !setting.image.is_none_or(Image::is_confidential) {
        let what = match (encryption, with_key) {
            ("VMGuestStateOnly", _) => "VMGuestStateOnlyEncryptedWithPlatformKey",
            (_, false) => "DiskEncryptedWithPlatformKey",
            (_, true) => "DiskEncryptedWithCustomerKey",
        };
        return Err(invalid(
            "securityProfile.securityType",
            &format!("SecurityType 'ConfidentialVM_{what}' is not supported by given image."),
        ));
    }
    let enabled = |name: &str| uefi[name] == true;
    if !enabled("vTpmEnabled") {
        return Err(bad(format!(
            "A confidential VM with security encryption type '{encryption}' needs 'securityProfile.uefiSettings.vTpmEnabled'."
        )));
    }
    if encryption == "DiskWithVMGuestState" && !enabled("secureBootEnabled") {
        return Err(bad("A confidential VM with security encryption type 'DiskWithVMGuestState' needs \
             'securityProfile.uefiSettings.secureBootEnabled'."));
    }
    Ok(())
}
