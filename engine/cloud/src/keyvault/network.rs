//! The firewall of a key store: its rules, and whom they let in.
//!
//! Everybody reaches the embedded Azure over loopback, which no rule of Azure can name. So all callers of one cloud
//! share one public address out of a range that is reserved for documentation ([`Cx::client_address`], RFC 5737), as
//! the machines behind one office router do. A refusal names it, and a rule for it lets its callers in again:
//!
//! ```text
//! az keyvault network-rule add --name <vault> --ip-address 203.0.113.10/32
//! ```
//!
//! Requests that another service of the embedded Azure makes with a customer's key come from a trusted service, which
//! `bypass` admits. Rules for subnets are kept and checked; no caller has an address within one.
//!
//! Source: "Configure network security for Azure Key Vault"; the texts are those of recorded refusals.

use std::net::Ipv4Addr;

use serde_json::{Map, Value, json};

use super::data;
use super::keystore::KeyStore;
use crate::cx::Cx;
use crate::network::cidr::Prefix;
use crate::refusal::Refusal;
use crate::resource_id::ResourceId;

/// The most rules of each kind ("Azure Key Vault service limits").
const MOST: [(&str, usize); 2] = [("ipRules", 1_000), ("virtualNetworkRules", 200)];

/// Ranges that no public address lies in (RFC 1918).
const PRIVATE: [(Prefix, &str); 3] = [
    (Prefix::of(Ipv4Addr::new(10, 0, 0, 0), 8), "10.0.0.0–10.255.255.255"),
    (Prefix::of(Ipv4Addr::new(172, 16, 0, 0), 12), "172.16.0.0–172.31.255.255"),
    (Prefix::of(Ipv4Addr::new(192, 168, 0, 0), 16), "192.168.0.0–192.168.255.255"),
];

/// Reads an address, which is a block of one, or a block in CIDR notation; `None` when it is neither, or has host bits.
fn block(text: &str) -> Option<Prefix> {
    if text.contains('/') {
        return Prefix::parse(text).ok();
    }
    text.parse().ok().map(|address| Prefix::of(address, 32))
}

fn bad(message: impl Into<String>) -> Refusal {
    Refusal::new(400, "BadRequest", message)
}

/// Reads `networkAcls` of a vault's properties in the form in which it is kept: words in Azure's spelling, single
/// addresses with `/32`, ids of subnets in lower case.
///
/// # Errors
/// `BadRequest` that names the rule and what is wrong with it.
pub(super) fn acls(given: &Value) -> Result<Value, Refusal> {
    let given = given.as_object().ok_or_else(|| bad("The property 'networkAcls' must be an object."))?;
    for (name, most) in MOST {
        let count = given.get(name).and_then(Value::as_array).map_or(0, Vec::len);
        if count > most {
            return Err(bad(format!(
                "The property 'networkAcls.{name}' has {count} rules, and at most {most} are allowed."
            )));
        }
    }
    Ok(json!({
        "bypass": word(given, "bypass", ["AzureServices", "None"])?,
        "defaultAction": word(given, "defaultAction", ["Allow", "Deny"])?,
        "ipRules": rules(given, "ipRules", ip_rule)?,
        "virtualNetworkRules": rules(given, "virtualNetworkRules", subnet_rule)?,
    }))
}

fn word(given: &Map<String, Value>, name: &str, words: [&'static str; 2]) -> Result<&'static str, Refusal> {
    let asked = match given.get(name) {
        None | Some(Value::Null) => words[0],
        Some(value) => value.as_str().unwrap_or_default(),
    };
    words
        .into_iter()
        .find(|word| word.eq_ignore_ascii_case(asked))
        .ok_or_else(|| bad(format!("The property 'networkAcls.{name}' must be one of {words:?}, not '{asked}'.")))
}

fn rules(
    given: &Map<String, Value>,
    name: &str,
    read: fn(&Value) -> Result<Value, (&'static str, String)>,
) -> Result<Vec<Value>, Refusal> {
    let list = match given.get(name) {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Array(list)) => list,
        Some(_) => return Err(bad(format!("The property 'networkAcls.{name}' must be a list."))),
    };
    let mut kept: Vec<Value> = Vec::new();
    for (position, rule) in list.iter().enumerate() {
        let rule = read(rule).map_err(|(member, why)| {
            bad(format!("Invalid value found at properties.networkAcls.{name}[{position}].{member}: {why}"))
        })?;
        if !kept.contains(&rule) {
            kept.push(rule);
        }
    }
    Ok(kept)
}

fn ip_rule(rule: &Value) -> Result<Value, (&'static str, String)> {
    let text =
        rule["value"].as_str().ok_or(("value", "an IPv4 address or a block in CIDR notation is missing".into()))?;
    let block = block(text)
        .ok_or_else(|| ("value", format!("{text} is no IPv4 address and no IPv4 block in CIDR notation")))?;
    if let Some((_, range)) = PRIVATE.iter().find(|(private, _)| private.overlaps(block)) {
        return Err(("value", format!("{text} belongs to forbidden range {range} (private IP addresses)")));
    }
    Ok(json!({ "value": block.to_string() }))
}

fn subnet_rule(rule: &Value) -> Result<Value, (&'static str, String)> {
    let text = rule["id"].as_str().ok_or(("id", "the id of a subnet is missing".into()))?;
    let subnet = ResourceId::parse(text).filter(|id| {
        id.group().is_some() && id.kind().eq_ignore_ascii_case("Microsoft.Network/virtualNetworks/subnets")
    });
    let subnet = subnet.ok_or_else(|| ("id", format!("{text} is not the id of a subnet")))?;
    let mut kept = json!({ "id": subnet.to_string().to_ascii_lowercase() });
    match &rule["ignoreMissingVnetServiceEndpoint"] {
        Value::Null => {}
        Value::Bool(ignore) => kept["ignoreMissingVnetServiceEndpoint"] = (*ignore).into(),
        _ => return Err(("ignoreMissingVnetServiceEndpoint", "it must be true or false".into())),
    }
    Ok(kept)
}

/// Refuses subnets that are not there or have no service endpoint for Key Vault.
pub(super) fn check_subnets(cx: &Cx<'_>, properties: &Value) -> Result<(), Refusal> {
    let rules = properties["networkAcls"]["virtualNetworkRules"].as_array().map_or(&[][..], Vec::as_slice);
    for rule in rules {
        let id = rule["id"].as_str().unwrap_or_default();
        let (network, name) = id.rsplit_once("/subnets/").unwrap_or((id, ""));
        let Some(subnet) = subnet(cx, id, network, name)? else {
            return Err(virtual_network(
                "404 (NotFound)",
                "NotFound",
                &format!("The subnet '{name}' of virtual network {network} was not found."),
            ));
        };
        let ready = subnet["serviceEndpoints"].as_array().is_some_and(|list| {
            list.iter().any(|e| e["service"].as_str().is_some_and(|s| s.eq_ignore_ascii_case("Microsoft.KeyVault")))
        });
        if !ready && rule["ignoreMissingVnetServiceEndpoint"] != true {
            return Err(virtual_network(
                "400 (BadRequest)",
                "SubnetsHaveNoServiceEndpointsConfigured",
                &format!(
                    "Subnets {name} of virtual network {network} do not have ServiceEndpoints for Microsoft.KeyVault \
                     resources configured. Add Microsoft.KeyVault to subnet's ServiceEndpoints collection before trying \
                     to ACL Microsoft.KeyVault resources to these subnets."
                ),
            ));
        }
    }
    Ok(())
}

/// Properties of a subnet: a resource of its own, or a part of its network's document.
fn subnet(cx: &Cx<'_>, id: &str, network: &str, name: &str) -> Result<Option<Value>, Refusal> {
    if let Some(resource) = cx.resource(id)? {
        return Ok(Some(resource.body["properties"].clone()));
    }
    let Some(network) = cx.resource(network)? else { return Ok(None) };
    let subnets = network.body["properties"]["subnets"].as_array().cloned().unwrap_or_default();
    let named = |subnet: &Value| subnet["name"].as_str().is_some_and(|given| given.eq_ignore_ascii_case(name));
    Ok(subnets.into_iter().find(named).map(|subnet| subnet["properties"].clone()))
}

fn virtual_network(status: &str, code: &str, message: &str) -> Refusal {
    Refusal::new(
        400,
        "VirtualNetworkNotValid",
        format!(
            "Operation on Virtual Network could not be performed. StatusCode: {status}. Error Code: {code}. Error Message: \
             {message}"
        ),
    )
}

/// Whether a key store's firewall lets a caller with the address of this cloud's callers in.
pub(super) fn admits(cx: &Cx<'_>, keystore: &KeyStore) -> Result<bool, Refusal> {
    Ok(keystore.property("publicNetworkAccess") != "Disabled" && by_rule(cx, keystore)?)
}

fn by_rule(cx: &Cx<'_>, keystore: &KeyStore) -> Result<bool, Refusal> {
    let acls = keystore.property("networkAcls");
    let address = cx.client_address()?;
    let rules = acls["ipRules"].as_array().map_or(&[][..], Vec::as_slice);
    let mut blocks = rules.iter().filter_map(|rule| block(rule["value"].as_str()?));
    Ok(acls["defaultAction"] != "Deny" || blocks.any(|block| block.contains(address)))
}

/// Refuses a caller whose address the vault's firewall keeps out.
pub(super) fn check(cx: &Cx<'_>, vault: &KeyStore) -> Result<(), Refusal> {
    let forbidden = |message: String, inner: &str| Err(Refusal::new(403, "Forbidden", message).inner(inner));
    let caller = data::caller_line(&cx.caller);
    let place = format!("Vault: {};location={}", vault.name, vault.location());
    if vault.property("publicNetworkAccess") == "Disabled" {
        return forbidden(
            format!(
                "Public network access is disabled and request is not from a trusted service nor via an approved private \
                 link.\r\nCaller: {caller}\r\n{place}"
            ),
            "ForbiddenByConnection",
        );
    }
    if by_rule(cx, vault)? {
        return Ok(());
    }
    let address = cx.client_address()?;
    let why = match vault.property("networkAcls")["bypass"] == "None" {
        true => "caller was ignored because bypass is set to None",
        false => "caller is not a trusted service.",
    };
    forbidden(
        format!(
            "Client address is not authorized and {why}\r\nClient address: {address}\r\nCaller: {caller}\r\n{place}"
        ),
        "ForbiddenByFirewall",
    )
}

/// Whether the vault's firewall lets the trusted services of Azure in.
pub(super) fn admits_services(vault: &KeyStore) -> bool {
    let acls = vault.property("networkAcls");
    let closed = acls["defaultAction"] == "Deny" || vault.property("publicNetworkAccess") == "Disabled";
    !closed || acls["bypass"] != "None"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_kept_in_one_form() {
        let subnet = "/subscriptions/S/resourceGroups/G/providers/Microsoft.Network/virtualNetworks/V/subnets/N";
        let given = json!({
            "bypass": "none", "defaultAction": "deny",
            "ipRules": [{ "value": "203.0.113.10" }, { "value": "198.51.100.0/24" }, { "value": "203.0.113.10/32" }],
            "virtualNetworkRules": [{ "id": subnet, "ignoreMissingVnetServiceEndpoint": true }],
        });
        let kept = acls(&given).unwrap();
        assert_eq!(
            kept,
            json!({
                "bypass": "None", "defaultAction": "Deny",
                "ipRules": [{ "value": "203.0.113.10/32" }, { "value": "198.51.100.0/24" }],
                "virtualNetworkRules": [{ "id": subnet.to_ascii_lowercase(), "ignoreMissingVnetServiceEndpoint": true }],
            })
        );
        assert_eq!(acls(&kept).unwrap(), kept, "what was read can be written back");
        let open =
            json!({ "bypass": "AzureServices", "defaultAction": "Allow", "ipRules": [], "virtualNetworkRules": [] });
        assert_eq!(acls(&json!({ "ipRules": null })).unwrap(), open);
    }

    #[test]
    fn rules_that_azure_refuses_are_refused() {
        let ip = |text: &str| json!({ "ipRules": [{ "value": "203.0.113.1" }, { "value": text }] });
        let at = "Invalid value found at properties.networkAcls.ipRules[1].value: ";
        let rows = [
            (json!([]), "must be an object".to_owned()),
            (json!({ "defaultAction": "Maybe" }), "networkAcls.defaultAction".to_owned()),
            (json!({ "bypass": 1 }), "networkAcls.bypass".to_owned()),
            (json!({ "ipRules": {} }), "must be a list".to_owned()),
            (json!({ "ipRules": [{}] }), "ipRules[0].value: an IPv4 address".to_owned()),
            (ip("203.0.113.300"), format!("{at}203.0.113.300 is no IPv4")),
            (ip("203.0.113"), format!("{at}203.0.113 is no IPv4")),
            (ip("2001:db8::1"), format!("{at}2001:db8::1 is no IPv4")),
            (ip("203.0.113.0/33"), format!("{at}203.0.113.0/33 is no IPv4")),
            (ip("203.0.113.0/+8"), format!("{at}203.0.113.0/+8 is no IPv4")),
            (ip("203.0.113.7/24"), format!("{at}203.0.113.7/24 is no IPv4")),
            (ip("10.0.0.0/8"), format!("{at}10.0.0.0/8 belongs to forbidden range 10.0.0.0–10.255.255.255 (private")),
            (ip("172.20.10.5/32"), format!("{at}172.20.10.5/32 belongs to forbidden range 172.16.0.0–172.31.255.255")),
            (ip("192.168.0.0/24"), format!("{at}192.168.0.0/24 belongs to forbidden range 192.168.0.0")),
            (ip("0.0.0.0/0"), format!("{at}0.0.0.0/0 belongs to forbidden range")),
            (json!({ "ipRules": vec![json!({ "value": "203.0.113.1" }); 1_001] }), "at most 1000".to_owned()),
            (json!({ "virtualNetworkRules": [{ "id": "x" }] }), "is not the id of a subnet".to_owned()),
            (
                json!({ "virtualNetworkRules": [{ "id": "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/virtualNetworks/v" }] }),
                "is not the id of a subnet".to_owned(),
            ),
            (json!({ "virtualNetworkRules": [{}] }), "virtualNetworkRules[0].id".to_owned()),
        ];
        for (given, expected) in rows {
            let refusal = acls(&given).unwrap_err();
            assert_eq!((refusal.status, refusal.code.as_str()), (400, "BadRequest"));
            assert!(refusal.message.contains(&expected), "{} for {given}", refusal.message);
        }
    }

    #[test]
    fn blocks_hold_their_addresses() {
        let rows = [
            ("203.0.113.10", "203.0.113.10", true),
            ("203.0.113.10/32", "203.0.113.11", false),
            ("203.0.113.0/24", "203.0.113.255", true),
            ("203.0.113.0/24", "203.0.114.0", false),
            ("203.0.112.0/23", "203.0.113.10", true),
            ("128.0.0.0/1", "203.0.113.10", true),
            ("0.0.0.0/0", "203.0.113.10", true),
        ];
        for (block, address, inside) in rows {
            assert_eq!(super::block(block).unwrap().contains(address.parse().unwrap()), inside, "{block} {address}");
        }
    }
}
