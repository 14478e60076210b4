//! Microsoft Entra: sign-in, tokens, the instance metadata service's identity endpoint, and Microsoft Graph.

mod applications;
pub(crate) mod device;
mod device_page;
mod graph;
mod imds;
mod login;
mod refresh;
mod sign_in;

use std::sync::LazyLock;

use crate::service::{Provider, Service};

/// The provider.
pub(crate) static PROVIDER: Entra = Entra;

/// Microsoft Entra; it has no types on Azure Resource Manager.
pub(crate) struct Entra;

impl Provider for Entra {
    fn namespace(&self) -> &'static str {
        "Microsoft.Entra"
    }

    fn schema(&self) -> &'static str {
        static SCHEMA: LazyLock<String> = LazyLock::new(|| [refresh::SCHEMA, device::SCHEMA].concat());
        &SCHEMA
    }

    fn services(&self) -> &'static [&'static dyn Service] {
        &[&login::Login, &graph::Graph, &imds::Metadata]
    }
}
