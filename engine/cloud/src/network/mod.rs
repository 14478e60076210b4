//! Microsoft.Network: virtual networks, security groups, interfaces and public IP addresses, as far as a virtual machine
//! needs them.

mod address;
pub(crate) mod cidr;
mod common;
mod effective;
mod matching;
pub(crate) mod nic;
mod nsg;
mod pip;
mod reach;
pub(crate) mod route;
mod rule;
mod subnet;
mod table;
#[cfg(test)]
mod tests;
mod vnet;

use crate::arm::kind::Kind;
use crate::operation::Operation;
use crate::service::{Provider, ResourceType};

/// The provider.
pub(crate) static PROVIDER: Network = Network;

/// Api-versions of all types.
pub(super) const API: &[&str] = &[
    "2026-03-01",
    "2026-01-01",
    "2025-09-01",
    "2025-07-01",
    "2025-05-01",
    "2025-03-01",
    "2025-01-01",
    "2024-10-01",
    "2024-07-01",
    "2024-05-01",
    "2024-03-01",
    "2024-01-01",
    "2023-11-01",
    "2023-09-01",
    "2023-06-01",
    "2023-05-01",
    "2023-04-01",
    "2023-02-01",
    "2022-11-01",
    "2022-09-01",
    "2022-07-01",
    "2022-05-01",
    "2022-01-01",
    "2021-08-01",
    "2021-05-01",
    "2021-02-01",
    "2020-11-01",
    "2020-06-01",
    "2019-11-01",
    "2018-11-01",
    "2018-01-01",
    "2017-10-01",
    "2017-09-01",
    "2017-08-01",
    "2016-09-01",
    "2015-06-15",
];

/// Microsoft.Network.
pub(crate) struct Network;

impl Provider for Network {
    fn namespace(&self) -> &'static str {
        "Microsoft.Network"
    }

    fn schema(&self) -> &'static str {
        crate::ports::SCHEMA
    }

    fn operations(&self) -> Vec<&'static [Operation]> {
        table::tables()
    }

    fn kinds(&self) -> &'static [&'static dyn Kind] {
        &[
            &vnet::VirtualNetwork,
            &subnet::Subnet,
            &nsg::SecurityGroup,
            &rule::SecurityRule,
            &nic::Interface,
            &pip::PublicIp,
        ]
    }

    fn types(&self) -> &'static [ResourceType] {
        &[
            ResourceType { name: "locations/usages", api: API, regional: false },
            ResourceType { name: "locations/checkDnsNameAvailability", api: API, regional: false },
        ]
    }

    fn registered_at_first(&self) -> bool {
        false
    }
}
