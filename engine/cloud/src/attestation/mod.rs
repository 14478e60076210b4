//! Microsoft.Attestation: attestation providers, which provider each region shares, and what they attest.
//!
//! - `provider`, `shared`: the control plane
//! - `service`: the data plane, `*.attest.azure.net`
//! - [`issuers`]: the keys that sign its tokens
//!
//! Source: <https://learn.microsoft.com/rest/api/attestation>.

pub(crate) mod issuers;
mod provider;
mod service;
mod shared;
#[cfg(test)]
mod tests;

use http::Method;

use crate::arm::kind::Kind;
use crate::arm::rows::{in_subscription, tracked_type};
use crate::operation::{Operation, Rows};
use crate::service::{Provider, ResourceType, Service};

const NAMESPACE: &str = "Microsoft.Attestation";

/// Api-versions, newest first.
const API: &[&str] = &["2021-06-01", "2021-06-01-preview", "2020-10-01", "2018-09-01-preview"];

/// The provider.
pub(crate) static PROVIDER: Attestation = Attestation;

/// Microsoft.Attestation.
pub(crate) struct Attestation;

/// The common rows, by the names of the official contract.
static PROVIDERS: &[Operation] = &{
    let mut rows = tracked_type!(
        "AttestationProviders",
        "Microsoft.Attestation",
        "attestationProviders",
        API,
        long: false
    );
    rows[0].name = "AttestationProviders_Create";
    rows
};

const ROWS: Rows = Rows::control(API);

static SHARED: &[Operation] = &[
    ROWS.row(
        "AttestationProviders_ListDefault",
        Method::GET,
        in_subscription!("Microsoft.Attestation/defaultProviders"),
        "Microsoft.Attestation/defaultProviders/read",
        shared::list,
    ),
    ROWS.row(
        "AttestationProviders_GetDefaultByLocation",
        Method::GET,
        in_subscription!("Microsoft.Attestation/locations/{location}/defaultProvider"),
        "Microsoft.Attestation/locations/defaultProvider/read",
        shared::get,
    ),
];

impl Provider for Attestation {
    fn namespace(&self) -> &'static str {
        NAMESPACE
    }

    fn schema(&self) -> &'static str {
        issuers::SCHEMA
    }

    fn operations(&self) -> Vec<&'static [Operation]> {
        vec![PROVIDERS, SHARED]
    }

    fn kinds(&self) -> &'static [&'static dyn Kind] {
        &[&provider::AttestationProvider]
    }

    fn types(&self) -> &'static [ResourceType] {
        const TYPES: &[ResourceType] = &[
            ResourceType { name: "defaultProviders", api: API, regional: false },
            ResourceType { name: "locations", api: API, regional: false },
            ResourceType { name: "locations/defaultProvider", api: API, regional: true },
        ];
        TYPES
    }

    fn registered_at_first(&self) -> bool {
        false
    }

    fn services(&self) -> &'static [&'static dyn Service] {
        &[&service::DataPlane]
    }
}
