//! The properties of a cluster, its pools aside.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{fixed, invalid, lacking, network};
use crate::refusal::Refusal;
use crate::resources::groups;

/// Properties that are dealt with one by one.
const HANDLED: &[&str] = &[
    "agentPoolProfiles",
    "bootstrapProfile",
    "disableLocalAccounts",
    "diskEncryptionSetID",
    "dnsPrefix",
    "enableRBAC",
    "kubernetesVersion",
    "linuxProfile",
    "networkProfile",
    "nodeResourceGroup",
    "servicePrincipalProfile",
    "storageProfile",
    "supportPlan",
];

/// What Azure alone writes; a client may send back what it read.
const READ_ONLY: &[&str] = &[
    "azurePortalFQDN",
    "currentKubernetesVersion",
    "fqdn",
    "identityProfile",
    "maxAgentPools",
    "powerState",
    "privateFQDN",
    "provisioningState",
    "resourceUID",
    "status",
];

/// Whether a value asks for nothing: nothing in it is set, switched on or chosen.
pub(super) fn asks_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty() || text.eq_ignore_ascii_case("none"),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.values().all(asks_nothing),
        Value::Bool(true) | Value::Number(_) => false,
    }
}

/// Refuses what the embedded Azure does not have.
pub(super) fn check_known(body: &Value) -> Result<(), Refusal> {
    for (name, value) in body["properties"].as_object().into_iter().flatten() {
        let name = name.as_str();
        if !HANDLED.contains(&name) && !READ_ONLY.contains(&name) && !asks_nothing(value) {
            return Err(lacking(name));
        }
    }
    let asked = &body["properties"];
    let only = |value: &Value, name: &str, word: &str| match value.as_str() {
        Some(text) if !text.is_empty() && !text.eq_ignore_ascii_case(word) => Err(lacking(name)),
        _ => Ok(()),
    };
    only(&asked["supportPlan"], "supportPlan", "KubernetesOfficial")?;
    only(&asked["bootstrapProfile"]["artifactSource"], "bootstrapProfile.artifactSource", "Direct")?;
    only(&asked["servicePrincipalProfile"]["clientId"], "servicePrincipalProfile", "msi")?;
    only(&body["sku"]["name"], "sku.name", "Base")?;
    if !["Free", "Standard"].contains(&body["sku"]["tier"].as_str().unwrap_or("Free")) {
        return Err(lacking("sku.tier"));
    }
    for name in ["extendedLocation", "plan"] {
        if !asks_nothing(&body[name]) {
            return Err(lacking(name));
        }
    }
    if asked["enableRBAC"] == false {
        return Err(lacking("enableRBAC"));
    }
    if asked["disableLocalAccounts"] == true {
        // Without local accounts a cluster needs Microsoft Entra integration.
        return Err(lacking("disableLocalAccounts"));
    }
    for (name, value) in asked["storageProfile"].as_object().into_iter().flatten() {
        let usual = ["diskCSIDriver", "fileCSIDriver", "snapshotController"].contains(&name.as_str());
        if usual && value["enabled"] == false || !usual && !asks_nothing(value) {
            return Err(lacking(&format!("storageProfile.{name}")));
        }
    }
    Ok(())
}

/// Names of a new cluster in the network and of its resource group for nodes.
pub(super) fn fresh(asked: &Value, group: &str, name: &str, location: &str, uid: &str) -> Result<Value, Refusal> {
    let prefix = asked["dnsPrefix"].as_str().unwrap_or_default();
    let fits = (1..=54).contains(&prefix.len())
        && prefix.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
        && !prefix.starts_with('-')
        && !prefix.ends_with('-');
    if !fits {
        return Err(invalid(
            "dnsPrefix",
            format!("'{prefix}' has not 1 to 54 letters, digits and hyphens with no hyphen at either end"),
        ));
    }
    let nodes = match asked["nodeResourceGroup"].as_str().filter(|nodes| !nodes.is_empty()) {
        Some(nodes) => nodes.to_owned(),
        None => format!("MC_{group}_{name}_{location}").chars().take(80).collect(),
    };
    if nodes.chars().count() > 80 || !groups::name_is_valid(&nodes) || nodes.eq_ignore_ascii_case(group) {
        return Err(invalid(
            "nodeResourceGroup",
            "it is the name of a resource group, has at most 80 characters and is not the resource group of the cluster",
        ));
    }
    let host = format!("{prefix}-{}", uid.get(..8).unwrap_or(uid)).to_ascii_lowercase();
    Ok(json!({
        "powerState": { "code": "Running" },
        "dnsPrefix": prefix,
        "fqdn": format!("{host}.hcp.{location}.azmk8s.io"),
        "azurePortalFQDN": format!("{host}.portal.hcp.{location}.azmk8s.io"),
        "maxAgentPools": 100,
        "nodeResourceGroup": nodes,
        "enableRBAC": true,
        "disableLocalAccounts": false,
        "supportPlan": "KubernetesOfficial",
        "networkProfile": network::profile(&asked["networkProfile"])?,
        "storageProfile": {
            "diskCSIDriver": { "enabled": true },
            "fileCSIDriver": { "enabled": true },
            "snapshotController": { "enabled": true },
        },
        "resourceUID": uid,
    }))
}

/// Refuses to change what stays as a cluster was made.
pub(super) fn check_fixed(asked: &Value, old: &Value) -> Result<(), Refusal> {
    let differs = |given: &Value, has: &Value| match (given.as_str(), has.as_str()) {
        (Some(""), _) => false,
        (Some(given), Some(has)) => !given.eq_ignore_ascii_case(has),
        _ => !given.is_null() && given != has,
    };
    for name in ["diskEncryptionSetID", "dnsPrefix", "nodeResourceGroup"] {
        if differs(&asked[name], &old[name]) {
            return Err(fixed(&format!("properties.{name}")));
        }
    }
    for (name, given) in asked["networkProfile"].as_object().into_iter().flatten() {
        if name != "loadBalancerProfile" && differs(given, &old["networkProfile"][name]) {
            return Err(fixed(&format!("networkProfile.{name}")));
        }
    }
    Ok(())
}

/// The Linux profile that a body asks for, with the keys that open a shell on the nodes.
pub(super) fn linux(given: &Value) -> Result<Option<Value>, Refusal> {
    if given.is_null() {
        return Ok(None);
    }
    let user = given["adminUsername"].as_str().unwrap_or_default();
    let name = user.starts_with(|c: char| c.is_ascii_alphabetic())
        && user.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    if !name {
        return Err(invalid("linuxProfile.adminUsername", format!("'{user}' is no name of a user")));
    }
    let keys = given["ssh"]["publicKeys"].as_array().map(Vec::as_slice).unwrap_or_default();
    let [key] = keys else {
        return Err(invalid("linuxProfile.ssh.publicKeys", "there is exactly one public key"));
    };
    let data = key["keyData"].as_str().unwrap_or_default();
    let mut parts = data.split_whitespace();
    let kind = parts.next().unwrap_or_default();
    let body = parts.next().and_then(|body| STANDARD.decode(body).ok()).unwrap_or_default();
    // The key itself begins with its type as a string of SSH (RFC 4253, section 6.6).
    let inner = body.get(4..4 + kind.len()) == Some(kind.as_bytes());
    if !["ssh-rsa", "ssh-ed25519"].contains(&kind) || !inner {
        return Err(invalid("linuxProfile.ssh.publicKeys.keyData", "it is no public key of OpenSSH (RSA or Ed25519)"));
    }
    Ok(Some(json!({ "adminUsername": user, "ssh": { "publicKeys": [{ "keyData": data }] } })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_asked() {
        let table = [
            (json!({}), true),
            (json!({ "metrics": { "enabled": false } }), true),
            (json!({ "upgradeChannel": "none" }), true),
            (json!({ "enabled": true }), false),
            (json!([1]), false),
            (json!("calico"), false),
        ];
        for (value, expected) in table {
            assert_eq!(asks_nothing(&value), expected, "{value}");
        }
    }
}
