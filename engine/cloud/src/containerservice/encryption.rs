//! The disk encryption set of a cluster's nodes: chosen when the cluster is made, and needed whenever nodes start.
//!
//! Source: <https://learn.microsoft.com/azure/aks/azure-disk-customer-managed-keys>.

use serde_json::Value;

use super::invalid;
use crate::arm::{identity, linked};
use crate::cx::Cx;
use crate::identity::principals;
use crate::keyvault::cmk::{self, CmkError, KeyAt, Wrap};
use crate::refusal::Refusal;
use crate::resource_id::ResourceId;
use crate::store::resources::Resource;

const NAME: &str = "diskEncryptionSetID";
const SETS: &str = "Microsoft.Compute/diskEncryptionSets";

/// Refuses a set that can't encrypt the disks of a cluster.
pub(super) fn check(cx: &Cx<'_>, cluster: &ResourceId, location: &str, given: &str) -> Result<(), Refusal> {
    let full = ResourceId::parse(given).filter(|id| id.subscription().is_some() && id.namespace().is_some());
    let Some(id) = full else {
        return Err(Refusal::new(
            400,
            "LinkedInvalidPropertyId",
            format!(
                "Property id '{given}' at path 'properties.diskEncryptionSetID' is invalid. Expect fully qualified \
                 resource Id that start with '/subscriptions/{{subscriptionId}}' or \
                 '/providers/{{resourceProviderNamespace}}/'."
            ),
        ));
    };
    let theirs = id.subscription().unwrap_or_default();
    if !theirs.eq_ignore_ascii_case(cluster.subscription().unwrap_or_default()) {
        return Err(invalid(NAME, "the disk encryption set must be in the subscription of the cluster"));
    }
    let set = linked::require(cx, cluster, given, "Microsoft.Compute/diskEncryptionSets/read")?;
    if !set.kind.eq_ignore_ascii_case(SETS) {
        return Err(invalid(NAME, format!("{given} is no disk encryption set")));
    }
    let there = set.location.as_deref().unwrap_or_default();
    if !there.eq_ignore_ascii_case(location) {
        return Err(invalid(NAME, format!("the disk encryption set is in {there}, and the cluster in {location}")));
    }
    if set.body["properties"]["encryptionType"] == "ConfidentialVmEncryptedWithCustomerKey" {
        return Err(invalid(NAME, "a disk encryption set for confidential virtual machines can't encrypt nodes"));
    }
    Ok(())
}

/// Tries the key of the set that a cluster names, as the set's identity: nodes can't be made or started without it.
pub(super) fn try_key(cx: &mut Cx<'_>, cluster: &Resource) -> Result<(), Refusal> {
    let Some(id) = cluster.body["properties"][NAME].as_str() else { return Ok(()) };
    let set = cx.resource(id)?.ok_or_else(|| {
        Refusal::new(
            404,
            "ResourceNotFound",
            format!("The disk encryption set '{id}' of the cluster's nodes was not found."),
        )
    })?;
    let oid = principal(&set).ok_or_else(|| forbidden("the disk encryption set has no managed identity"))?.to_owned();
    if principals::get(cx.tx, &oid)?.is_none() {
        return Err(forbidden("the managed identity of the disk encryption set does not exist"));
    }
    let url = set.body["properties"]["activeKey"]["keyUrl"].as_str().unwrap_or_default();
    let (vault_uri, name, version) =
        key(url).ok_or_else(|| Refusal::internal(format!("{id} has no key URL: '{url}'")))?;
    let at = KeyAt { vault_uri, name, version };
    let probe = cx.random::<32>();
    let wrapped = cmk::service_wrap(cx, &oid, &at, Wrap::Wrap, &probe).map_err(|error| unusable(url, error))?;
    let at = KeyAt { version: Some(&wrapped.version), ..at };
    cmk::service_wrap(cx, &oid, &at, Wrap::Unwrap, wrapped.bytes.expose()).map_err(|error| unusable(url, error))?;
    Ok(())
}

/// The identity with which a set asks its vault.
fn principal(set: &Resource) -> Option<&str> {
    let mine = &set.body["identity"];
    let held = mine["userAssignedIdentities"].as_object().and_then(|held| held.values().next());
    identity::system(mine).or_else(|| held.and_then(|held: &Value| held["principalId"].as_str()))
}

/// Vault, name and version in the URL of a key.
fn key(url: &str) -> Option<(&str, &str, Option<&str>)> {
    let (vault, rest) = url.split_once("/keys/")?;
    let mut parts = rest.trim_end_matches('/').split('/');
    let name = parts.next().filter(|name| !name.is_empty())?;
    Some((vault, name, parts.next()))
}

fn forbidden(why: &str) -> Refusal {
    Refusal::new(
        400,
        "KeyVaultAccessForbidden",
        format!("The nodes of the cluster can't be created or started: {why}."),
    )
}

fn unusable(url: &str, error: CmkError) -> Refusal {
    let code = match error {
        CmkError::Internal(refusal) => return refusal,
        CmkError::VaultNotFound => "KeyVaultNotFound",
        CmkError::KeyNotFound => "KeyVaultKeyNotFound",
        CmkError::KeyDisabled => "KeyVaultKeyNotEnabled",
        _ => "KeyVaultAccessForbidden",
    };
    Refusal::new(
        400,
        code,
        format!(
            "The nodes of the cluster can't be created or started with the key {url} of its disk encryption set: {error}."
        ),
    )
}
