//! Public IP addresses, out of the ranges that are reserved for documentation (RFC 5737): nobody else has them.
//!
//! Source: <https://learn.microsoft.com/rest/api/virtualnetwork/public-ip-addresses>.

use std::collections::HashSet;
use std::net::Ipv4Addr;

use serde_json::{Value, json};

use super::{API, common, nic};
use crate::arm::kind::{Change, Draft, Facts, Kind, Style};
use crate::cx::Cx;
use crate::refusal::Refusal;
use crate::store::resources::{Filter, Resource};
use crate::store::settings;

pub(super) const NAME: &str = "Microsoft.Network/publicIPAddresses";

/// How many Standard addresses a subscription may have in a region.
pub(super) const LIMIT: usize = 20;

const RANGES: &[[u8; 3]] = &[[203, 0, 113], [198, 51, 100], [192, 0, 2]];

const KNOWN: &[&str] = &[
    "publicIPAllocationMethod",
    "publicIPAddressVersion",
    "idleTimeoutInMinutes",
    "dnsSettings",
    "ipAddress",
    "ipConfiguration",
    "ipTags",
    "deleteOption",
    "provisioningState",
    "resourceGuid",
];

/// The type.
pub(super) struct PublicIp;

const FACTS: Facts = Facts { etag: true, ..Facts::new(NAME, API, Style::Created) };

impl Kind for PublicIp {
    fn facts(&self) -> &Facts {
        &FACTS
    }

    fn check_name(&self, name: &str) -> Result<(), Refusal> {
        common::check_name(name)
    }

    fn apply(&self, cx: &mut Cx<'_>, draft: &mut Draft<'_>) -> Result<(), Refusal> {
        if draft.change == Change::Update {
            return Ok(());
        }
        common::only(draft.asked(), NAME, KNOWN)?;
        let (given, asked) = (draft.given, draft.asked());
        let sku = common::word(&given["sku"]["name"], "sku.name", &["Basic", "Standard"], "Basic")?;
        let tier = common::word(&given["sku"]["tier"], "sku.tier", &["Regional", "Global"], "Regional")?;
        let version =
            common::word(&asked["publicIPAddressVersion"], "publicIPAddressVersion", &["IPv4", "IPv6"], "IPv4")?;
        let method = common::word(
            &asked["publicIPAllocationMethod"],
            "publicIPAllocationMethod",
            &["Static", "Dynamic"],
            "Dynamic",
        )?;
        if version == "IPv6" || tier == "Global" {
            let refusal = Refusal::new(400, "UnsupportedPublicIPAddress", "The public IP address is not supported.");
            return Err(refusal.gap(format!("public IP addresses that are {version} and {tier}")));
        }
        if sku == "Basic" {
            return Err(Refusal::new(
                400,
                "IPv4BasicSkuPublicIpCountLimitReached",
                "Cannot create more than 0 IPv4 Basic SKU public IP addresses for this subscription in this region.",
            ));
        }
        if method == "Dynamic" {
            return Err(Refusal::new(
                400,
                "StandardSkuPublicIPAddressesMustBeStatic",
                format!("Standard sku publicIp {} must have AllocationMethod set to Static.", draft.id),
            ));
        }
        let timeout = match &asked["idleTimeoutInMinutes"] {
            Value::Null => 4,
            given => given.as_i64().filter(|minutes| (4..=30).contains(minutes)).ok_or_else(|| {
                Refusal::new(
                    400,
                    "PublicIPAddressIdleTimeoutIsOutOfRange",
                    format!("Idle timeout of public IP address {} is {given}; it must be from 4 to 30.", draft.id),
                )
            })?,
        };
        let all = cx.resources(Filter { kind: Some(NAME), ..Filter::default() })?;
        let others: Vec<&Resource> =
            all.iter().filter(|other| draft.old.is_none_or(|old| old.id != other.id)).collect();
        common::only(&asked["dnsSettings"], "dnsSettings", &["domainNameLabel", "fqdn"])?;
        let dns = dns(&asked["dnsSettings"], draft.location(), &others)?;
        let address = match draft.old.map(|old| old.body["properties"]["ipAddress"].clone()) {
            Some(address) if address.is_string() => address,
            _ => allocate(cx, draft, &others)?,
        };
        let guid = common::guid(draft.old);
        let zones = given["zones"].clone();
        draft.body["sku"] = json!({ "name": sku, "tier": tier });
        if zones.as_array().is_some_and(|zones| !zones.is_empty()) {
            draft.body["zones"] = zones;
        }
        let properties = draft.properties();
        properties["resourceGuid"] = guid;
        properties["ipAddress"] = address;
        properties["publicIPAddressVersion"] = version.into();
        properties["publicIPAllocationMethod"] = method.into();
        properties["idleTimeoutInMinutes"] = timeout.into();
        properties["ipTags"] = json!([]);
        if !dns.is_null() {
            properties["dnsSettings"] = dns;
        }
        Ok(())
    }

    fn may_delete(&self, cx: &Cx<'_>, resource: &Resource) -> Result<(), Refusal> {
        match user(cx, &resource.id)? {
            None => Ok(()),
            Some(user) => Err(Refusal::new(
                400,
                "PublicIPAddressCannotBeDeleted",
                format!(
                    "Public IP address {} can not be deleted since it is still allocated to resource {user}. In order \
                     to delete the public IP, disassociate/detach the Public IP address from the resource.  To learn \
                     how to do this, see aka.ms/deletepublicip.",
                    resource.id
                ),
            )),
        }
    }

    fn shown(&self, cx: &Cx<'_>, resource: &Resource) -> Result<Value, Refusal> {
        let mut body = common::shown(resource);
        if let Some(user) = user(cx, &resource.id)? {
            body["properties"]["ipConfiguration"] = json!({ "id": user });
        }
        Ok(body)
    }
}

/// Id of the IP configuration that has an address.
pub(super) fn user(cx: &Cx<'_>, address: &str) -> Result<Option<String>, Refusal> {
    let users = common::users_of(cx, address, nic::NAME)?;
    Ok(users.iter().find_map(|nic| nic::with_address(nic, address)))
}

/// Checks the label and returns `dnsSettings`. A label is unique in its region, whoever has it.
fn dns(given: &Value, location: &str, others: &[&Resource]) -> Result<Value, Refusal> {
    let Some(label) = given["domainNameLabel"].as_str().filter(|label| !label.is_empty()) else {
        return Ok(Value::Null);
    };
    if !label_is_valid(label) {
        return Err(Refusal::new(
            400,
            "InvalidDomainNameLabel",
            format!(
                "The domain name label {label} is invalid. It must conform to the following regular expression: \
                 ^[a-z][a-z0-9-]{{1,61}}[a-z0-9]$."
            ),
        ));
    }
    let name = fqdn(label, location);
    if others.iter().any(|other| other.body["properties"]["dnsSettings"]["fqdn"] == name) {
        return Err(Refusal::new(
            400,
            "DnsRecordInUse",
            format!("DNS record {name} is already used by another public IP."),
        ));
    }
    Ok(json!({ "domainNameLabel": label, "fqdn": name }))
}

fn label_is_valid(label: &str) -> bool {
    let inner = label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    let first = label.bytes().next().is_some_and(|b| b.is_ascii_lowercase());
    inner && first && !label.ends_with('-') && (3..=63).contains(&label.len())
}

fn fqdn(label: &str, location: &str) -> String {
    format!("{label}.{location}.cloudapp.azure.com")
}

/// Whether an address is one that public IP addresses are taken from.
pub(crate) fn is_public(address: Ipv4Addr) -> bool {
    RANGES.iter().any(|range| address.octets().starts_with(range))
}

/// The public IP address with a DNS name (lower case), or with this text as its address.
pub(super) fn named(cx: &Cx<'_>, host: &str) -> Result<Option<Resource>, Refusal> {
    let all = cx.resources(Filter { kind: Some(NAME), ..Filter::default() })?;
    let has = |resource: &Resource| {
        let properties = &resource.body["properties"];
        properties["dnsSettings"]["fqdn"] == host || properties["ipAddress"] == host
    };
    Ok(all.into_iter().find(has))
}

/// Whether a label is free in a region.
pub(super) fn label_is_free(cx: &Cx<'_>, label: &str, location: &str) -> Result<bool, Refusal> {
    let all = cx.resources(Filter { kind: Some(NAME), ..Filter::default() })?;
    let others: Vec<&Resource> = all.iter().collect();
    Ok(dns(&json!({ "domainNameLabel": label }), location, &others).is_ok_and(|dns| !dns.is_null()))
}

/// The first address that nobody has.
fn allocate(cx: &Cx<'_>, draft: &Draft<'_>, others: &[&Resource]) -> Result<Value, Refusal> {
    let here = others.iter().filter(|other| {
        draft.id.subscription().is_some_and(|s| s.eq_ignore_ascii_case(&other.subscription))
            && other.location.as_deref() == Some(draft.location())
    });
    let full = |count: usize| {
        Refusal::new(
            400,
            "PublicIPCountLimitReached",
            format!(
                "Cannot create more than {count} public IP addresses for this subscription in this region. \
                 CorrelationId: {}",
                cx.correlation_id
            ),
        )
    };
    if here.count() >= LIMIT {
        return Err(full(LIMIT));
    }
    // Whoever comes from the internet comes from an address of the same ranges.
    let client = settings::client_address(cx.tx)?.to_string();
    let mut taken: HashSet<&str> = others.iter().filter_map(|o| o.body["properties"]["ipAddress"].as_str()).collect();
    taken.insert(&client);
    let mut all = RANGES.iter().flat_map(|[a, b, c]| (1..255).map(move |d| Ipv4Addr::new(*a, *b, *c, d).to_string()));
    let free = all.find(|address| !taken.contains(address.as_str()));
    free.map(Value::from).ok_or_else(|| full(others.len()))
}
