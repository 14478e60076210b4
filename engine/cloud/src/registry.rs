//! Everything that the embedded Azure is made of.

use crate::arm::Arm;
use crate::service::{Provider, Service};
use crate::{authorization, compute, entra, insights, keyvault, resources, storage};

/// All providers.
pub(crate) static PROVIDERS: &[&dyn Provider] = &[
    &resources::PROVIDER,
    &authorization::PROVIDER,
    &entra::PROVIDER,
    &compute::PROVIDER,
    &insights::PROVIDER,
    &keyvault::PROVIDER,
    &storage::PROVIDER,
    #[cfg(test)]
    &crate::tests::fixture::PROVIDER,
];

/// Finds a provider by namespace, without case.
pub(crate) fn provider(namespace: &str) -> Option<&'static dyn Provider> {
    PROVIDERS.iter().copied().find(|p| p.namespace().eq_ignore_ascii_case(namespace))
}

/// Finds the service that answers for a host.
pub(crate) fn service(host: &str) -> Option<&'static dyn Service> {
    services().find(|s| s.answers(host))
}

/// All services.
pub(crate) fn services() -> impl Iterator<Item = &'static dyn Service> {
    let arm: &'static dyn Service = &Arm;
    std::iter::once(arm).chain(PROVIDERS.iter().flat_map(|p| p.services().iter().copied()))
}
