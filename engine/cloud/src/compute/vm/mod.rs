//! Virtual machines: everything that Azure Resource Manager knows of them, and what reaches into them.
//!
//! - `storage`, `os`, `security`, `nics`: the parts of a body, each checked by itself
//! - `power`: starting, stopping, instance view
//! - `commands`: scripts for the machine's agent
//! - `metadata`: what the machine itself can ask, through a door of its own
//!
//! Source: <https://learn.microsoft.com/rest/api/compute/virtual-machines>.

mod body;
pub(super) mod commands;
pub(super) mod metadata;
mod nics;
mod os;
mod power;
mod security;
mod storage;
mod table;
#[cfg(test)]
pub(crate) mod tests;

use rusqlite::Connection;
use serde_json::{Value, json};

pub(super) use power::tick;
pub(super) use table::tables;

use self::power::Power;
use super::API;
use super::disks::hooks;
use super::quota;
use super::sizes::{self, SIZES, Size};
use crate::arm::kind::{Draft, Facts, Kind, Style};
use crate::arm::resource;
use crate::cx::Cx;
use crate::fault;
use crate::refusal::Refusal;
use crate::room::Machine;
use crate::store::resources::{self, Resource};
use crate::tee;

pub(super) const NAME: &str = "Microsoft.Compute/virtualMachines";

/// Members of a stored machine that are never answered.
const HIDDEN: &[&str] = &["systemData", "power", "boot", "withheld"];

const KNOWN: &[&str] = &[
    "hardwareProfile",
    "storageProfile",
    "osProfile",
    "networkProfile",
    "securityProfile",
    "diagnosticsProfile",
    "additionalCapabilities",
    "licenseType",
    "userData",
    "priority",
    "provisioningState",
    "vmId",
    "timeCreated",
    "instanceView",
];

/// The type.
pub(super) struct VirtualMachine;

const FACTS: Facts = Facts { identities: true, ..Facts::new(NAME, API, Style::Created) };

impl Kind for VirtualMachine {
    fn facts(&self) -> &Facts {
        &FACTS
    }

    fn check_name(&self, name: &str) -> Result<(), Refusal> {
        let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c));
        if plain && name.len() <= 64 && !name.starts_with('_') && !name.ends_with(['.', '-']) {
            return Ok(());
        }
        Err(Refusal::new(
            400,
            "InvalidParameter",
            format!(
                "The value '{name}' of parameter 'vmName' is not allowed: up to 64 letters, digits, '_', '.' and '-', with \
                 no '_' at the start and no '.' or '-' at the end."
            ),
        ))
    }

    fn apply(&self, cx: &mut Cx<'_>, draft: &mut Draft<'_>) -> Result<(), Refusal> {
        body::only(
            draft.given,
            "virtualMachine",
            &["id", "name", "type", "location", "tags", "identity", "properties", "zones", "resources", "etag"],
        )?;
        body::only(draft.asked(), "properties", KNOWN)?;
        let asked = draft.asked().clone();
        let old = draft.old.map(|old| old.body["properties"].clone());
        let size = size(cx, draft, &asked["hardwareProfile"], old.as_ref())?;
        let storage = match &old {
            Some(old) => storage::keep(old, &asked)?,
            None => storage::check(draft, &asked, size)?,
        };
        let mut properties = json!({ "hardwareProfile": { "vmSize": size.name }, "storageProfile": storage.shown });
        properties["osProfile"] = os_profile(cx, draft, &asked, &storage.os)?;
        let security = match &old {
            Some(old) => kept_security(&asked["securityProfile"], &old["securityProfile"])?,
            None => asked["securityProfile"].clone(),
        };
        let disk = properties["storageProfile"]["osDisk"]["managedDisk"]["securityProfile"].clone();
        let setting = security::Setting { size, image: storage.image, disk: &disk };
        let security = security::check(&security, &setting)?;
        if !security.is_null() {
            properties["securityProfile"] = security;
        }
        let network = if asked["networkProfile"].is_null() { old.as_ref().map(|o| &o["networkProfile"]) } else { None };
        properties["networkProfile"] = nics::check(cx, draft, network.unwrap_or(&asked["networkProfile"]), size)?;
        others(&asked, old.as_ref(), &mut properties)?;
        let kept = |name: &str, fresh: String| old.as_ref().map_or(Value::from(fresh), |old| old[name].clone());
        properties["vmId"] = kept("vmId", uuid::Uuid::new_v4().to_string());
        properties["timeCreated"] = kept("timeCreated", crate::time::rfc3339(cx.now));
        zones(draft)?;
        let power = draft.old.map_or(Power::Starting, Power::of);
        if power != Power::Deallocated {
            let id = draft.id.to_string();
            quota::require(cx, draft.id.subscription().unwrap_or_default(), draft.location(), &id, size)?;
        }
        draft.body["power"] = power.as_str().into();
        *draft.properties() = properties;
        Ok(())
    }

    fn stored(&self, cx: &mut Cx<'_>, machine: &Resource) -> Result<(), Refusal> {
        if Power::of(machine) != Power::Starting
            || cx.resource(os_disk(machine))?.is_some_and(|d| d.body["managedBy"] == machine.id)
        {
            return Ok(());
        }
        storage::create(cx, &resource::id_of(machine)?, &machine.body)
    }

    fn finish(&self, cx: &mut Cx<'_>, verb: &str, _: &Value, machine: &mut Resource) -> Result<Option<Value>, Refusal> {
        if verb != resource::DELETE {
            power::finish(cx, verb, machine)?;
        }
        Ok(None)
    }

    fn result(&self, cx: &Cx<'_>, verb: &str, machine: &str, stored: Value) -> Result<Value, Refusal> {
        if verb == commands::RUN_COMMAND { commands::shown(cx, machine, &stored) } else { Ok(stored) }
    }

    fn destroy(&self, cx: &mut Cx<'_>, machine: &Resource) -> Result<(), Refusal> {
        tee::forget(cx, &machine.id)?;
        let properties = &machine.body["properties"];
        let disk = os_disk(machine);
        hooks::detach(cx, disk)?;
        let goes = properties["storageProfile"]["osDisk"]["deleteOption"] == "Delete";
        if let Some(disk) = cx.resource(disk)?.filter(|_| goes) {
            resource::remove(cx, &disk)?;
        }
        for interface in properties["networkProfile"]["networkInterfaces"].as_array().into_iter().flatten() {
            let found = cx.resource(interface["id"].as_str().unwrap_or_default())?;
            if let Some(found) = found.filter(|_| interface["properties"]["deleteOption"] == "Delete") {
                resource::remove(cx, &found)?;
            }
        }
        Ok(())
    }

    fn shown(&self, _: &Cx<'_>, machine: &Resource) -> Result<Value, Refusal> {
        let mut body = machine.body.clone();
        if let Some(body) = body.as_object_mut() {
            body.retain(|name, _| !HIDDEN.contains(&name.as_str()));
        }
        if let Some(properties) = body["properties"].as_object_mut() {
            properties.shift_remove("userData");
        }
        Ok(body)
    }
}

/// How often a stored machine was booted.
fn boot_of(machine: &Resource) -> u64 {
    machine.body["boot"].as_u64().unwrap_or_default()
}

/// Whether a machine runs, in the boot that is meant.
pub(crate) fn is_on(tx: &Connection, machine: &Machine) -> Result<bool, Refusal> {
    let stored = resources::get(tx, &machine.id)?;
    Ok(stored
        .filter(|stored| stored.kind.eq_ignore_ascii_case(NAME))
        .and_then(|stored| commands::running(&stored))
        .is_some_and(|now| now == *machine))
}

/// Id of a machine's OS disk.
pub(crate) fn os_disk(machine: &Resource) -> &str {
    machine.body["properties"]["storageProfile"]["osDisk"]["managedDisk"]["id"].as_str().unwrap_or_default()
}

/// Size of a stored machine.
pub(super) fn size_of(machine: &Resource) -> &str {
    machine.body["properties"]["hardwareProfile"]["vmSize"].as_str().unwrap_or_default()
}

/// Whether a stored machine uses vCPUs.
pub(super) fn is_allocated(machine: &Resource) -> bool {
    Power::of(machine) != Power::Deallocated
}

/// Whether a stored machine is running.
pub(crate) fn is_running(machine: &Resource) -> bool {
    Power::of(machine) == Power::Running
}

/// The size that is asked for, which the region must offer to the subscription.
fn size(cx: &Cx<'_>, draft: &Draft<'_>, given: &Value, old: Option<&Value>) -> Result<&'static Size, Refusal> {
    body::only(given, "hardwareProfile", &["vmSize"])?;
    let held = old.and_then(|old| old["hardwareProfile"]["vmSize"].as_str());
    let Some(name) = given["vmSize"].as_str().or(held) else { return Err(body::missing("hardwareProfile.vmSize")) };
    let Some(size) = sizes::find(name) else {
        let valid: Vec<&str> = SIZES.iter().filter(|s| s.offered_in(draft.location())).map(|s| s.name).collect();
        return Err(body::invalid(
            "vmSize",
            &format!(
                "The value {name} provided for the VM size is not valid. The valid sizes in the current region are: {}.",
                valid.join(",")
            ),
        ));
    };
    let missing = fault::missing_skus(cx)?.iter().any(|lack| lack.covers(draft.location(), size.name));
    if held != Some(size.name) && (missing || !size.offered_in(draft.location())) {
        return Err(Refusal::new(
            409,
            "SkuNotAvailable",
            format!(
                "The requested VM size for resource 'Following SKUs have failed for Capacity Restrictions: {}' is currently \
                 not available in location '{}'. Please try another size or deploy to a different location or different \
                 zone. See https://aka.ms/azureskunotavailable for details.",
                size.name,
                draft.location()
            ),
        ));
    }
    Ok(size)
}

/// Checks `osProfile`; that of a machine that exists can't change.
fn os_profile(cx: &Cx<'_>, draft: &mut Draft<'_>, asked: &Value, os: &str) -> Result<Value, Refusal> {
    let given = &asked["osProfile"];
    let aad = format!("{NAME} {}", draft.id.to_string().to_ascii_lowercase());
    let Some(old) = draft.old else {
        let checked = os::check(given, os)?;
        draft.body["withheld"] = hex::encode(cx.seal(&aad, checked.withheld.to_string().as_bytes())).into();
        return Ok(checked.shown);
    };
    let held = &old.body["properties"]["osProfile"];
    draft.body["withheld"] = old.body["withheld"].clone();
    for name in ["computerName", "adminUsername"] {
        if given[name].is_string() && given[name] != held[name] {
            return Err(body::fixed(&format!("osProfile.{name}")));
        }
    }
    let ssh = &given["linuxConfiguration"]["ssh"]["publicKeys"];
    if ssh.is_array() && *ssh != held["linuxConfiguration"]["ssh"]["publicKeys"] {
        return Err(body::fixed("linuxConfiguration.ssh.publicKeys"));
    }
    let sealed = hex::decode(old.body["withheld"].as_str().unwrap_or_default()).unwrap_or_default();
    for name in ["adminPassword", "customData"] {
        if given[name].is_null() {
            continue;
        }
        let withheld: Value = serde_json::from_slice(cx.open(&aad, &sealed)?.expose())?;
        if given[name] != withheld[name] {
            return Err(body::fixed(&format!("osProfile.{name}")));
        }
    }
    Ok(held.clone())
}

/// The `securityProfile` of a machine that exists: UEFI settings may change, its type may not.
fn kept_security(given: &Value, held: &Value) -> Result<Value, Refusal> {
    let kind = &given["securityType"];
    if !kind.is_null()
        && kind.as_str().map(str::to_ascii_lowercase) != held["securityType"].as_str().map(str::to_ascii_lowercase)
    {
        return Err(body::fixed("securityProfile.securityType"));
    }
    let mut merged = if held.is_null() { json!({}) } else { held.clone() };
    body::merge(&mut merged, given);
    Ok(if merged.as_object().is_some_and(serde_json::Map::is_empty) { Value::Null } else { merged })
}

/// The members that need little checking.
fn others(asked: &Value, old: Option<&Value>, properties: &mut Value) -> Result<(), Refusal> {
    if !asked["priority"].is_null() {
        body::word(&asked["priority"], "priority", &["Regular"])
            .map_err(|r| r.gap("virtual machines: spot priority"))?;
    }
    body::only(&asked["additionalCapabilities"], "additionalCapabilities", &[])?;
    if let Some(data) = asked["userData"].as_str() {
        os::check_data("userData", data)?;
    }
    let diagnostics = &asked["diagnosticsProfile"];
    body::only(diagnostics, "diagnosticsProfile", &["bootDiagnostics"])?;
    body::only(&diagnostics["bootDiagnostics"], "bootDiagnostics", &["enabled", "storageUri"])?;
    for name in ["userData", "diagnosticsProfile", "licenseType"] {
        let kept = old.map(|old| &old[name]).filter(|_| asked[name].is_null());
        let value = kept.unwrap_or(&asked[name]);
        if !value.is_null() {
            properties[name] = value.clone();
        }
    }
    Ok(())
}

fn zones(draft: &mut Draft<'_>) -> Result<(), Refusal> {
    let given = match (&draft.given["zones"], draft.old) {
        (Value::Null, Some(old)) => old.body["zones"].clone(),
        (given, _) => given.clone(),
    };
    match given.as_array().map(Vec::as_slice) {
        None | Some([]) => Ok(()),
        Some([zone]) if ["1", "2", "3"].iter().any(|z| zone == z) => {
            if draft.old.is_some_and(|old| old.body["zones"] != given) {
                return Err(body::fixed("zones"));
            }
            draft.body["zones"] = given;
            Ok(())
        }
        Some(_) => Err(body::invalid("zones", "The zone(s) for the virtual machine are not supported.")),
    }
}
