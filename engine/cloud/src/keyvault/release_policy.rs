//! Release policies of exportable keys: who could have them released. Kept and shown; release itself is refused by name.
//!
//! Source: <https://learn.microsoft.com/azure/key-vault/keys/policy-grammar>.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::keystore::KeyStore;
use super::requests::{Attributes, bad};
use crate::refusal::Refusal;
use crate::rules::Rule;

/// How deep conditions may nest.
const DEPTH: usize = 16;

/// Reads the release policy of a creation or import, as the key shows it; `None` for a key that can't be exported. The
/// codes AKV.SKR.1001 to 1006 are Azure's.
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

/// Reads the policy that an update gives; `old` is the one that the version has.
pub(super) fn update(old: Option<&Value>, given: &Value) -> Result<Value, Refusal> {
    match old {
        None => Err(bad("AKV.SKR.1005: Non-exportable keys must not have release policy.")),
        Some(old) if old["immutable"] == true => {
            Err(bad("AKV.SKR.1020: Immutable Key Release Policy cannot be modified."))
        }
        Some(_) => policy(given),
    }
}

fn policy(given: &Value) -> Result<Value, Refusal> {
    let invalid = |why: &str| bad(format!("Property release_policy has invalid value: {why}."));
    let data = given["data"].as_str().ok_or_else(|| invalid("data is required"))?;
    let bytes = URL_SAFE_NO_PAD.decode(data.trim_end_matches('=')).map_err(|_| invalid("data is no base64url"))?;
    let document: Value = serde_json::from_slice(&bytes).map_err(|_| invalid("data holds no JSON document"))?;
    if document["version"] != "1.0.0" {
        return Err(invalid("its version must be 1.0.0"));
    }
    let authorities = document["anyOf"].as_array().filter(|all| !all.is_empty());
    for authority in authorities.ok_or_else(|| invalid("anyOf must name an authority"))? {
        if !authority["authority"].as_str().is_some_and(|url| url.starts_with("https://")) {
            return Err(invalid("an authority must be an https address"));
        }
        if !condition(authority, DEPTH) {
            return Err(invalid("an authority needs allOf or anyOf with claims and what they equal"));
        }
    }
    let content_type = given["contentType"].as_str().unwrap_or("application/json; charset=utf-8");
    let immutable = given["immutable"].as_bool().unwrap_or(false);
    Ok(json!({ "contentType": content_type, "data": data.trim_end_matches('='), "immutable": immutable }))
}

/// Whether a node has conditions of the grammar below it.
fn condition(node: &Value, depth: usize) -> bool {
    let members = node["allOf"].as_array().or_else(|| node["anyOf"].as_array());
    let Some(members) = members.filter(|members| !members.is_empty() && depth > 0) else { return false };
    members.iter().all(|member| match member["claim"].as_str() {
        Some(_) => member.as_object().is_some_and(|object| object.len() == 2),
        None => condition(member, depth - 1),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_are_of_the_grammar() {
        let claim = json!({ "claim": "x-ms-compliance-status", "equals": "azure-compliant-cvm" });
        let authority =
            |conditions: Value| json!({ "authority": "https://sharedweu.weu.attest.azure.net", "allOf": conditions });
        let table = [
            (json!({ "version": "1.0.0", "anyOf": [authority(json!([claim]))] }), true),
            (json!({ "version": "1.0.0", "anyOf": [authority(json!([{ "anyOf": [claim, claim] }]))] }), true),
            (json!({ "version": "1.0.0", "anyOf": [] }), false),
            (json!({ "version": "2.0.0", "anyOf": [authority(json!([claim]))] }), false),
            (json!({ "version": "1.0.0", "anyOf": [authority(json!([]))] }), false),
            (json!({ "version": "1.0.0", "anyOf": [authority(json!([{ "claim": "x" }]))] }), false),
            (json!({ "version": "1.0.0", "anyOf": [{ "authority": "http://x", "allOf": [claim] }] }), false),
        ];
        for (document, good) in table {
            let data = URL_SAFE_NO_PAD.encode(document.to_string());
            assert_eq!(policy(&json!({ "data": data })).is_ok(), good, "{document}");
        }
        let mut deep = claim;
        for _ in 0..40 {
            deep = json!({ "allOf": [deep] });
        }
        let document = json!({ "version": "1.0.0", "anyOf": [authority(json!([deep]))] });
        assert!(policy(&json!({ "data": URL_SAFE_NO_PAD.encode(document.to_string()) })).is_err());
        for data in [json!("%%"), json!("e30x"), json!(null), json!("e30")] {
            assert!(policy(&json!({ "data": data })).is_err(), "{data}");
        }
    }
}
