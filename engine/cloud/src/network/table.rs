//! Operations of Microsoft.Network.

use http::Method;
use serde_json::json;

use super::{API, effective, nic, nsg, pip, vnet};
use crate::arm::rows::{in_group, part_type, polling, tracked_type};
use crate::cx::Cx;
use crate::http::Answer;
use crate::operation::{Access, Operation, Params};
use crate::refusal::Refusal;
use crate::resources::locations::{self, Location};
use crate::store::resources::Filter;

static NETWORKS: &[Operation] =
    &tracked_type!("VirtualNetworks", "Microsoft.Network", "virtualNetworks", API, long: true);
static SUBNETS: &[Operation] = &part_type!(
    "Subnets", "Microsoft.Network", "virtualNetworks/subnets", "virtualNetworks/{network}/subnets", API, long: true
);
static GROUPS: &[Operation] =
    &tracked_type!("NetworkSecurityGroups", "Microsoft.Network", "networkSecurityGroups", API, long: true);
static RULES: &[Operation] = &part_type!(
    "SecurityRules",
    "Microsoft.Network",
    "networkSecurityGroups/securityRules",
    "networkSecurityGroups/{securityGroup}/securityRules",
    API,
    long: true
);
static INTERFACES: &[Operation] =
    &tracked_type!("NetworkInterfaces", "Microsoft.Network", "networkInterfaces", API, long: true);
static ADDRESSES: &[Operation] =
    &tracked_type!("PublicIPAddresses", "Microsoft.Network", "publicIPAddresses", API, long: true);
static POLLS: &[Operation] = &polling!("Microsoft.Network", "operations", API);

static OTHERS: &[Operation] = &[
    Operation {
        name: "Usages_List",
        method: Method::GET,
        path: "/subscriptions/{subscription}/providers/Microsoft.Network/locations/{location}/usages",
        when: &[],
        api: API,
        access: Access::Control("Microsoft.Network/locations/usages/read"),
        lro: false,
        run: usages,
    },
    Operation {
        name: "NetworkInterfaces_ListEffectiveNetworkSecurityGroups",
        method: Method::POST,
        path: in_group!("Microsoft.Network/networkInterfaces/{name}/effectiveNetworkSecurityGroups"),
        when: &[],
        api: API,
        access: Access::Control("Microsoft.Network/networkInterfaces/effectiveNetworkSecurityGroups/action"),
        lro: false,
        run: effective::list,
    },
    Operation {
        name: "CheckDnsNameAvailability",
        method: Method::GET,
        path: "/subscriptions/{subscription}/providers/Microsoft.Network/locations/{location}/CheckDnsNameAvailability",
        when: &[],
        api: API,
        access: Access::Control("Microsoft.Network/locations/checkDnsNameAvailability/read"),
        lro: false,
        run: check_dns_name,
    },
];

/// All tables.
pub(super) fn tables() -> Vec<&'static [Operation]> {
    vec![NETWORKS, SUBNETS, GROUPS, RULES, INTERFACES, ADDRESSES, POLLS, OTHERS]
}

fn location(params: &Params) -> Result<&'static Location, Refusal> {
    let name = params.get("location");
    locations::find(name)
        .ok_or_else(|| Refusal::new(400, "InvalidLocation", format!("The provided location '{name}' is not valid.")))
}

/// `Usages_List`: how much of its network quota a subscription uses in a region.
fn usages(cx: &mut Cx<'_>, params: &Params) -> Result<Answer, Refusal> {
    let (location, subscription) = (location(params)?, params.get("subscription"));
    let table = [
        ("VirtualNetworks", "Virtual Networks", vnet::NAME, 1_000),
        ("NetworkSecurityGroups", "Network Security Groups", nsg::NAME, 5_000),
        ("NetworkInterfaces", "Network Interfaces", nic::NAME, 65_536),
        ("PublicIPAddresses", "Public IP Addresses", pip::NAME, pip::LIMIT),
        ("StandardSkuPublicIpAddresses", "Public IPv4 Addresses - Standard", pip::NAME, pip::LIMIT),
    ];
    let mut value = Vec::new();
    for (name, text, kind, limit) in table {
        let filter = Filter { subscription: Some(subscription), kind: Some(kind), ..Filter::default() };
        let used = cx.resources(filter)?.iter().filter(|r| r.location.as_deref() == Some(location.name)).count();
        value.push(json!({
            "id": format!(
                "/subscriptions/{subscription}/providers/Microsoft.Network/locations/{}/usages/{name}",
                location.name
            ),
            "currentValue": used,
            "limit": limit,
            "unit": "Count",
            "name": { "value": name, "localizedValue": text },
        }));
    }
    Ok(Answer::ok(&json!({ "value": value })))
}

/// `CheckDnsNameAvailability`.
fn check_dns_name(cx: &mut Cx<'_>, params: &Params) -> Result<Answer, Refusal> {
    let location = location(params)?;
    let label = cx.request.query("domainNameLabel").unwrap_or_default().to_owned();
    Ok(Answer::ok(&json!({ "available": pip::label_is_free(cx, &label, location.name)? })))
}
