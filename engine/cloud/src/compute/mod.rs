//! Microsoft.Compute: virtual machines and their images, which sizes a region offers, the subscription's quota, and encrypted
//! disks.
//!
//! - `vm`: virtual machines
//! - `images`: platform images
//! - `sizes`, `quota`: sizes of virtual machines, and how many vCPUs they may have
//! - `sets`: disk encryption sets
//! - `disks`: managed disks and snapshots; [`disks::hooks`] is what virtual machines use
//! - `volumes`: their encrypted content

mod body;
mod disks;
mod images;
pub(crate) mod offer;
pub(crate) mod quota;
mod sets;
mod sizes;
#[cfg(test)]
mod tests;
mod vm;
mod volumes;

use std::sync::LazyLock;

use http::Method;
use serde_json::{Value, json};

use crate::arm::kind::Kind;
use crate::arm::resource;
use crate::cx::Cx;
use crate::fault;
use crate::http::Answer;
use crate::lro::Lro;
use crate::odata::{self, Term};
use crate::operation::{Access, Operation, Params};
use crate::refusal::Refusal;
use crate::resources::locations::{self, LOCATIONS};
use crate::service::{Machines, Provider, ResourceType, Service};
use crate::store::resources::Resource;
use sizes::{SIZES, Size};
pub(crate) use vm::commands::{Command, RUN_COMMAND, preempted, running};
pub(crate) use vm::metadata::document as instance_metadata;
#[cfg(test)]
pub(crate) use vm::tests::kit;
#[cfg(test)]
pub(crate) use vm::tests::kit::{Lab, confidential, lab};
pub(crate) use vm::{is_on, is_running, os_disk};

/// Reads a virtual machine by id.
pub(crate) fn machine(cx: &Cx<'_>, id: &str) -> Result<Option<Resource>, Refusal> {
    Ok(cx.resource(id)?.filter(|found| found.kind.eq_ignore_ascii_case(vm::NAME)))
}

/// The technology that makes a stored machine confidential, `SNP` or `TDX`; `None` for other machines.
pub(crate) fn technology(machine: &Resource) -> Option<&'static str> {
    let confidential = machine.body["properties"]["securityProfile"]["securityType"] == "ConfidentialVM";
    sizes::find(vm::size_of(machine)).and_then(|size| size.confidential).filter(|_| confidential)
}

/// The provider.
pub(crate) static PROVIDER: Compute = Compute;

const SKUS_API: &[&str] = &["2021-07-01", "2019-04-01", "2017-09-01", "2017-03-30"];

const API: &[&str] = &[
    "2026-04-01",
    "2026-03-02",
    "2025-11-01",
    "2025-04-01",
    "2024-11-01",
    "2024-07-01",
    "2024-03-01",
    "2023-09-01",
    "2023-07-01",
    "2023-03-01",
    "2022-11-01",
    "2022-08-01",
    "2022-03-01",
    "2021-11-01",
    "2021-07-01",
    "2021-03-01",
    "2020-12-01",
    "2020-06-01",
    "2019-12-01",
    "2019-07-01",
    "2019-03-01",
    "2018-10-01",
    "2018-06-01",
    "2017-12-01",
];

/// Microsoft.Compute.
pub(crate) struct Compute;

static OPERATIONS: &[Operation] = &[
    Operation {
        name: "ResourceSkus_List",
        method: Method::GET,
        path: "/subscriptions/{subscription}/providers/Microsoft.Compute/skus",
        when: &[],
        api: SKUS_API,
        access: Access::Control("Microsoft.Compute/skus/read"),
        lro: false,
        run: skus,
    },
    Operation {
        name: "Usage_List",
        method: Method::GET,
        path: "/subscriptions/{subscription}/providers/Microsoft.Compute/locations/{location}/usages",
        when: &[],
        api: API,
        access: Access::Control("Microsoft.Compute/locations/usages/read"),
        lro: false,
        run: usages,
    },
];

impl Provider for Compute {
    fn namespace(&self) -> &'static str {
        "Microsoft.Compute"
    }

    fn schema(&self) -> &'static str {
        static SCHEMA: LazyLock<String> =
            LazyLock::new(|| [sets::SCHEMA, volumes::SCHEMA, crate::room::SCHEMA].concat());
        &SCHEMA
    }

    fn inventory(&self) -> &'static [&'static str] {
        &["SELECT 'volume', resource, uid || changed FROM volumes"]
    }

    fn operations(&self) -> Vec<&'static [Operation]> {
        [vec![OPERATIONS, images::OPERATIONS], sets::tables().to_vec(), disks::tables().to_vec(), vm::tables()].concat()
    }

    fn kinds(&self) -> &'static [&'static dyn Kind] {
        &[&sets::Sets, &disks::Disks, &disks::Snapshots, &vm::VirtualMachine]
    }

    fn services(&self) -> &'static [&'static dyn Service] {
        &[&volumes::Endpoint]
    }

    fn machines(&self, cx: &Cx<'_>, subscription: &str, location: &str) -> Result<Vec<Machines>, Refusal> {
        quota::machines(cx, subscription, location)
    }

    fn complete(&self, cx: &mut Cx<'_>, lro: &Lro) -> Result<Option<Value>, Refusal> {
        // A script ends when its output arrives; the clock ends only one that takes too long.
        if lro.kind == RUN_COMMAND {
            return Err(vm::commands::timed_out());
        }
        resource::complete(cx, lro)
    }

    fn failed(&self, cx: &mut Cx<'_>, lro: &Lro) -> Result<(), Refusal> {
        if lro.kind == RUN_COMMAND {
            return Ok(());
        }
        resource::failed(cx, lro)
    }

    fn tick(&self, cx: &mut Cx<'_>) -> Result<(), Refusal> {
        sets::tick(cx)?;
        vm::tick(cx)
    }

    fn types(&self) -> &'static [ResourceType] {
        &[
            ResourceType { name: "skus", api: SKUS_API, regional: false },
            ResourceType { name: "locations/usages", api: API, regional: false },
            ResourceType { name: "locations/vmSizes", api: API, regional: false },
            ResourceType { name: "locations/publishers", api: API, regional: false },
            ResourceType { name: "locations/DiskOperations", api: disks::API, regional: false },
        ]
    }

    fn registered_at_first(&self) -> bool {
        false
    }
}

/// `ResourceSkus_List`: one entry per size and region, optionally for one region (`location eq '…'`).
fn skus(cx: &mut Cx<'_>, _: &Params) -> Result<Answer, Refusal> {
    let mut only = None;
    if let Some(filter) = cx.request.query("$filter").filter(|f| !f.is_empty()) {
        for term in odata::parse(filter)? {
            match term {
                Term::Eq(field, value) if field.eq_ignore_ascii_case("location") => only = Some(value),
                _ => {
                    return Err(Refusal::new(
                        400,
                        "BadRequest",
                        "The filter of this operation supports only: location eq '{location}'.",
                    ));
                }
            }
        }
    }
    let missing = fault::missing_skus(cx)?;
    let mut value = Vec::new();
    for location in LOCATIONS {
        if only.as_deref().is_some_and(|o| !location.name.eq_ignore_ascii_case(o)) {
            continue;
        }
        for size in SIZES.iter().filter(|s| s.offered_in(location.name)) {
            let restricted = missing.iter().any(|m| m.covers(location.name, size.name));
            value.push(document(size, location.name, restricted));
        }
    }
    Ok(Answer::ok(&json!({ "value": value })))
}

fn document(size: &Size, location: &str, restricted: bool) -> Value {
    let restrictions = if restricted {
        json!([{
            "type": "Location",
            "values": [location],
            "restrictionInfo": { "locations": [location] },
            "reasonCode": "NotAvailableForSubscription",
        }])
    } else {
        json!([])
    };
    let mut capabilities = vec![
        json!({ "name": "vCPUs", "value": size.cpus.to_string() }),
        json!({ "name": "MemoryGB", "value": (f64::from(size.memory) / 1024.0).to_string() }),
        json!({ "name": "MaxDataDiskCount", "value": size.data_disks.to_string() }),
        json!({ "name": "MaxNetworkInterfaces", "value": size.interfaces.to_string() }),
        json!({ "name": "MaxResourceVolumeMB", "value": size.temporary.to_string() }),
        json!({ "name": "HyperVGenerations", "value": if size.confidential.is_some() { "V2" } else { "V1,V2" } }),
        json!({ "name": "CpuArchitectureType", "value": "x64" }),
        json!({ "name": "PremiumIO", "value": "True" }),
        json!({ "name": "TrustedLaunchDisabled", "value": "False" }),
    ];
    if let Some(kind) = size.confidential {
        capabilities.push(json!({ "name": "ConfidentialComputingType", "value": kind }));
    }
    if size.gpus > 0 {
        capabilities.push(json!({ "name": "GPUs", "value": size.gpus.to_string() }));
    }
    json!({
        "resourceType": "virtualMachines",
        "name": size.name,
        "tier": "Standard",
        "size": size.name.trim_start_matches("Standard_"),
        "family": size.family,
        "locations": [location],
        "locationInfo": [{ "location": location, "zones": ["1", "2", "3"], "zoneDetails": [] }],
        "capabilities": capabilities,
        "restrictions": restrictions,
    })
}

/// `Usage_List`: vCPU quota per family, and what the subscription uses of it.
fn usages(cx: &mut Cx<'_>, params: &Params) -> Result<Answer, Refusal> {
    let name = params.get("location");
    let Some(location) = locations::find(name) else {
        return Err(Refusal::new(400, "InvalidLocation", format!("The provided location '{name}' is not valid.")));
    };
    let rows = quota::all(cx, params.get("subscription"), location.name, None)?;
    let mut value: Vec<Value> = rows.iter().map(quota::Quota::document).collect();
    value.extend(disks::usages(cx, params.get("subscription"), location.name)?);
    Ok(Answer::ok(&json!({ "value": value })))
}
