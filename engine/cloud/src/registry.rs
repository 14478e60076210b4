//! Everything that the embedded Azure is made of.

use crate::arm::Arm;
use crate::arm::kind::Kind;
use crate::service::{Provider, ResourceType, Service};
use crate::{
    attestation, authorization, cognitive, compute, containerservice, entra, insights, keyvault, loganalytics,
    managedidentity, network, resources, storage,
};

/// All providers.
pub(crate) static PROVIDERS: &[&dyn Provider] = &[
    &resources::PROVIDER,
    &authorization::PROVIDER,
    &entra::PROVIDER,
    &cognitive::PROVIDER,
    &compute::PROVIDER,
    &containerservice::PROVIDER,
    &insights::PROVIDER,
    &loganalytics::PROVIDER,
    &attestation::PROVIDER,
    &keyvault::PROVIDER,
    &managedidentity::PROVIDER,
    &network::PROVIDER,
    &storage::PROVIDER,
    #[cfg(test)]
    &crate::tests::fixture::PROVIDER,
];

/// Finds a provider by namespace, without case.
pub(crate) fn provider(namespace: &str) -> Option<&'static dyn Provider> {
    PROVIDERS.iter().copied().find(|p| p.namespace().eq_ignore_ascii_case(namespace))
}

/// All resource types of a provider, names below the namespace.
pub(crate) fn types(provider: &dyn Provider) -> Vec<ResourceType> {
    let kinds = provider.kinds().iter().map(|kind| ResourceType {
        name: kind.facts().name.split_once('/').map_or("", |(_, name)| name),
        api: kind.facts().api,
        regional: kind.facts().tracked,
    });
    kinds.chain(provider.types().iter().copied()).collect()
}

/// Finds a resource type by name with namespace, without case.
pub(crate) fn kind(name: &str) -> Option<&'static dyn Kind> {
    let namespace = name.split('/').next()?;
    provider(namespace)?.kinds().iter().copied().find(|kind| kind.facts().name.eq_ignore_ascii_case(name))
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
