//! The properties of an agent pool: what may be asked, and what stays as it was made.

use serde_json::{Map, Value, json};

use super::sizes::Nodes;
use super::versions::{self, Version};
use super::{fixed, invalid, lacking};
use crate::arm::version;
use crate::cx::Cx;
use crate::refusal::Refusal;

/// Settings whose only values are these; a new pool has the first.
const ONLY: &[(&str, &[&str])] = &[
    ("type", &["VirtualMachineScaleSets"]),
    ("osType", &["Linux"]),
    ("osDiskType", &["Managed"]),
    ("kubeletDiskType", &["OS"]),
    ("scaleDownMode", &["Delete"]),
    ("scaleSetPriority", &["Regular"]),
    ("workloadRuntime", &["OCIContainer"]),
    ("osSKU", &["Ubuntu", "Ubuntu2404", "AzureLinux"]),
    ("mode", &["User", "System"]),
];

/// Those of [`ONLY`] that a pool does not show.
const HIDDEN: &[&str] = &["scaleSetPriority", "workloadRuntime"];

/// Settings that a pool shows and that are off.
const OFF: &[&str] =
    &["enableAutoScaling", "enableNodePublicIP", "enableEncryptionAtHost", "enableUltraSSD", "enableFIPS"];

/// Properties of a pool without what the caller's version does not know: trusted launch came in the middle of 2024.
pub(super) fn known(cx: &Cx<'_>, mut properties: Map<String, Value>) -> Map<String, Value> {
    if !version::since(cx, "2024-05-01") {
        properties.shift_remove("securityProfile");
    }
    properties
}

/// Plain data that goes to the nodes.
const PLAIN: &[&str] = &["nodeLabels", "nodeTaints", "tags", "upgradeSettings"];

/// What Azure alone writes; a client may send back what it read.
const READ_ONLY: &[&str] =
    &["name", "eTag", "currentOrchestratorVersion", "nodeImageVersion", "powerState", "provisioningState", "status"];

/// What can't change in a pool.
const FIXED: &[&str] = &["vmSize", "osDiskSizeGB", "osDiskType", "osType", "maxPods", "vnetSubnetID"];

/// Refuses a pool's name: 1 to 12 lower-case letters and digits, the first a letter.
pub(super) fn check_name(name: &str) -> Result<(), Refusal> {
    let fits = (1..=12).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    if fits {
        return Ok(());
    }
    Err(invalid(
        "agentPoolProfile.name",
        format!("'{name}' has not 1 to 12 lower-case letters and digits with a letter at the start"),
    ))
}

/// A pool's properties: those that `given` asks for over those that it had, else over Azure's defaults.
pub(super) fn settle(given: &Value, old: Option<&Value>, cluster: &Version, network: &Value) -> Result<Value, Refusal> {
    check_known(given)?;
    let mut pool = match old {
        Some(old) => old.clone(),
        None => fresh(network),
    };
    for (name, words) in ONLY {
        let Some(text) = given[name].as_str().filter(|text| !text.is_empty()) else { continue };
        let word = words.iter().find(|word| word.eq_ignore_ascii_case(text));
        let word = word.ok_or_else(|| lacking(&format!("agentPoolProfile.{name}")))?;
        if !HIDDEN.contains(name) {
            pool[name] = (*word).into();
        }
    }
    number(&mut pool, given, "count", 0..=1000)?;
    number(&mut pool, given, "osDiskSizeGB", 0..=2048)?;
    number(&mut pool, given, "maxPods", 10..=250)?;
    if pool["osDiskSizeGB"] == 0 {
        pool["osDiskSizeGB"] = 128.into();
    }
    for name in ["vmSize", "vnetSubnetID"] {
        if let Some(text) = given[name].as_str().filter(|text| !text.is_empty()) {
            pool[name] = text.into();
        }
    }
    for name in PLAIN {
        if given[name].is_array() || given[name].is_object() {
            pool[name] = given[name].clone();
        }
    }
    // Whoever leaves it open, by empty settings too, gets Azure's default.
    if pool["upgradeSettings"]["maxSurge"].is_null() {
        pool["upgradeSettings"]["maxSurge"] = "10%".into();
    }
    security(&mut pool, &given["securityProfile"])?;
    version(&mut pool, given, cluster)?;
    if pool["vmSize"].is_null() {
        return Err(invalid("agentPoolProfile.vmSize", "the size of the nodes is missing"));
    }
    if pool["mode"] == "System" && pool["count"] == 0 {
        return Err(invalid("agentPoolProfile.count", "a system pool has at least one node"));
    }
    if let Some(old) = old {
        let same = |name: &&&str| match (old[**name].as_str(), pool[**name].as_str()) {
            (Some(old), Some(new)) => old.eq_ignore_ascii_case(new),
            _ => old[**name] == pool[**name],
        };
        if let Some(name) = FIXED.iter().find(|name| !same(name)) {
            return Err(fixed(&format!("properties.{name}")));
        }
    }
    Ok(pool)
}

fn check_known(given: &Value) -> Result<(), Refusal> {
    const ELSEWHERE: &[&str] =
        &["count", "maxPods", "orchestratorVersion", "osDiskSizeGB", "securityProfile", "vmSize", "vnetSubnetID"];
    for (name, value) in given.as_object().into_iter().flatten() {
        let name = name.as_str();
        let known = ELSEWHERE.contains(&name)
            || PLAIN.contains(&name)
            || READ_ONLY.contains(&name)
            || ONLY.iter().any(|(known, _)| *known == name);
        if !known && !super::properties::asks_nothing(value) {
            return Err(lacking(&format!("agentPoolProfile.{name}")));
        }
    }
    Ok(())
}

fn fresh(network: &Value) -> Value {
    let pods = match (network["networkPluginMode"].as_str(), network["networkPlugin"].as_str()) {
        (Some(_), _) => 250,
        (None, Some("kubenet")) => 110,
        _ => 30,
    };
    let mut pool = json!({
        "count": 1,
        "osDiskSizeGB": 128,
        "maxPods": pods,
        "powerState": { "code": "Running" },
        "securityProfile": { "enableVTPM": false, "enableSecureBoot": false },
    });
    for (name, words) in ONLY.iter().filter(|(name, _)| !HIDDEN.contains(name)) {
        pool[name] = words.first().copied().into();
    }
    for name in OFF {
        pool[name] = false.into();
    }
    pool
}

fn number(pool: &mut Value, given: &Value, name: &str, range: std::ops::RangeInclusive<u64>) -> Result<(), Refusal> {
    if given[name].is_null() {
        return Ok(());
    }
    let number = given[name].as_u64().filter(|number| range.contains(number)).ok_or_else(|| {
        let (low, high) = (range.start(), range.end());
        invalid(&format!("agentPoolProfile.{name}"), format!("it is a number between {low} and {high}"))
    })?;
    pool[name] = number.into();
    Ok(())
}

/// Trusted launch: secure boot and a virtual TPM.
fn security(pool: &mut Value, given: &Value) -> Result<(), Refusal> {
    for (name, value) in given.as_object().into_iter().flatten() {
        match (name.as_str(), value) {
            (_, Value::Null) => {}
            ("enableVTPM" | "enableSecureBoot", Value::Bool(on)) => pool["securityProfile"][name] = (*on).into(),
            ("sshAccess", Value::String(word)) if word == "LocalUser" => {}
            _ => return Err(lacking(&format!("agentPoolProfile.securityProfile.{name}"))),
        }
    }
    Ok(())
}

fn version(pool: &mut Value, given: &Value, cluster: &Version) -> Result<(), Refusal> {
    let asked = given["orchestratorVersion"].as_str().filter(|asked| !asked.is_empty());
    if asked.is_none() && !pool["orchestratorVersion"].is_null() {
        return Ok(());
    }
    let wanted = versions::resolve(Some(asked.unwrap_or(&cluster.asked)))?;
    if versions::check_upgrade(wanted.current, cluster.current).is_err() {
        return Err(Refusal::new(
            400,
            "NodePoolMcVersionIncompatible",
            format!(
                "Node pool version {} and control plane version {} are incompatible: nodes are at most one minor \
                 version behind, and never ahead.",
                wanted.current, cluster.current
            ),
        ));
    }
    if let Some(before) = pool["currentOrchestratorVersion"].as_str() {
        versions::check_upgrade(before, wanted.current)?;
    }
    pool["orchestratorVersion"] = wanted.asked.into();
    pool["currentOrchestratorVersion"] = wanted.current.into();
    Ok(())
}

/// The nodes of a pool.
pub(super) fn nodes(pool: &Value) -> Nodes {
    Nodes {
        size: pool["vmSize"].as_str().unwrap_or_default().to_owned(),
        count: pool["count"].as_u64().and_then(|count| u32::try_from(count).ok()).unwrap_or_default(),
    }
}
