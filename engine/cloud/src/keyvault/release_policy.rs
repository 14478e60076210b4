//! Release policies of exportable keys: which key has one, and when it may change. What is in them is the grammar's
//! (`sealbook_attestation::policy`), and they are kept as it normalises them.
//!
//! Source: <https://learn.microsoft.com/azure/key-vault/keys/policy-grammar>.

use sealbook_attestation::policy::Encoded;
use serde_json::Value;

use super::keystore::KeyStore;
use super::requests::{Attributes, bad};
use crate::refusal::Refusal;
use crate::rules::Rule;

/// Reads the release policy of a creation or import, as the key shows it; `None` for a key that can't be exported. The
/// codes AKV.SKR.1001 to 1020 are Azure's.
pub(super) fn read(
    keystore: &KeyStore,
    body: &Value,
    kty: &str,
    attributes: Attributes,
) -> Result<Option<Value>, Refusal> {
    let given = &body["release_policy"];
    match (attributes.exportable.unwrap_or(false), !given.is_null()) {
        (false, false) => Ok(None),
        (false, true) => Err(bad("AKV.SKR.1005: Non-exportable keys must not have release policy.")),
        (true, _) if Rule::StandardVaultsExportNoKeys.holds() && !keystore.hardware() => Err(bad(
            "AKV.SKR.1001: Exportable keys are supported on premium vaults only, with api-version 7.3 or later.",
        )),
        (true, false) if Rule::ExportableKeysHaveAPolicy.holds() => {
            Err(bad("AKV.SKR.1004: Exportable keys must have release policy."))
        }
        (true, _) if !kty.ends_with("-HSM") => Err(bad(format!(
            "AKV.SKR.1006: Exportable software-protected {kty} keys are not supported on premium vaults."
        ))),
        (true, _) => policy(given).map(Some),
    }
}

/// Reads the policy that an update gives; `old` is the one that the version has, `versioned` says that the request names
/// a version. A policy belongs to the key: who changes it changes that of the newest version, and what follows it.
pub(super) fn update(old: Option<&Value>, given: &Value, versioned: bool) -> Result<Value, Refusal> {
    match old {
        None => Err(bad("AKV.SKR.1005: Non-exportable keys must not have release policy.")),
        Some(_) if versioned => Err(bad("AKV.SKR.1016: Key Release Policy can only be set on versionless key.")),
        Some(old) if old["immutable"] == true && Rule::ImmutablePoliciesStay.holds() => {
            Err(bad("AKV.SKR.1020: Immutable Key Release Policy cannot be modified."))
        }
        Some(_) => policy(given),
    }
}

/// Reads a policy in its envelope (`KeyReleasePolicy`). How Azure refuses one that breaks the grammar is not recorded
/// publicly.
fn policy(given: &Value) -> Result<Value, Refusal> {
    let encoded = Encoded::envelope(given);
    let encoded = encoded.map_err(|why| bad(format!("Property release_policy has invalid value: {why}.")))?;
    Ok(encoded.to_envelope())
}
