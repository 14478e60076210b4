//! A customer's own attestation provider.

use serde_json::{Value, json};

use super::{API, shared};
use crate::arm::kind::{Change, Draft, Facts, Kind, Style};
use crate::cx::Cx;
use crate::refusal::Refusal;
use crate::store::resources::{Filter, Resource};

/// `Microsoft.Attestation/attestationProviders`.
pub(super) struct AttestationProvider;

/// Member of the stored document with the certificates that must sign policies; never answered.
const SIGNERS: &str = "policySigningCertificates";
/// Members that only the common machinery knows.
const UNKNOWN_TO_CONTRACT: &[&str] = &["provisioningState", SIGNERS];

fn bad(message: impl Into<String>) -> Refusal {
    Refusal::new(400, "BadRequest", message)
}

/// A member that may be `Enabled` or `Disabled`.
fn switch(draft: &mut Draft<'_>, name: &str) -> Result<(), Refusal> {
    let given = draft.asked()[name].clone();
    match given.as_str() {
        Some("Enabled" | "Disabled") => draft.properties()[name] = given,
        None if given.is_null() && draft.change == Change::Update => {}
        None if given.is_null() => draft.properties()[name] = "Enabled".into(),
        _ => return Err(bad(format!("The value of '{name}' must be 'Enabled' or 'Disabled'."))),
    }
    Ok(())
}

/// Checks a JSON Web Key Set (RFC 7517) of certificates: each key names its type and its chain, and none is private.
fn check_signers(given: &Value) -> Result<(), Refusal> {
    let keys = given["keys"].as_array().filter(|keys| !keys.is_empty());
    for key in keys.ok_or_else(|| bad("The policy signing certificates must be a JSON Web Key Set with keys."))? {
        if !matches!(key["kty"].as_str(), Some("RSA" | "EC")) {
            return Err(bad("Each policy signing certificate needs the key type (kty) RSA or EC."));
        }
        let chain = key["x5c"].as_array().filter(|chain| !chain.is_empty());
        let certificate = |part: &Value| {
            use base64::Engine as _;
            let text = part.as_str().unwrap_or_default();
            base64::engine::general_purpose::STANDARD.decode(text).is_ok_and(|der| der.first() == Some(&0x30))
        };
        if !chain.is_some_and(|chain| chain.iter().all(certificate)) {
            return Err(bad("Each policy signing certificate needs its X.509 certificates (x5c), base64 of DER."));
        }
        if ["d", "p", "q", "dp", "dq", "qi", "k"].iter().any(|part| !key[part].is_null()) {
            return Err(bad("A policy signing certificate must not hold a private key."));
        }
    }
    Ok(())
}

/// The resource type.
pub(super) const TYPE: &str = "Microsoft.Attestation/attestationProviders";

const FACTS: Facts = Facts::new(TYPE, API, Style::AtOnce);

impl Kind for AttestationProvider {
    fn facts(&self) -> &Facts {
        &FACTS
    }

    fn check_name(&self, name: &str) -> Result<(), Refusal> {
        if (3..=24).contains(&name.len()) && name.chars().all(|c| c.is_ascii_alphanumeric()) {
            return Ok(());
        }
        Err(Refusal::new(
            400,
            "InvalidResourceName",
            format!("The name '{name}' is not valid: attestation providers have 3 to 24 letters and digits."),
        ))
    }

    fn apply(&self, cx: &mut Cx<'_>, draft: &mut Draft<'_>) -> Result<(), Refusal> {
        let short = shared::short(draft.location())
            .ok_or_else(|| shared::unavailable("attestationProviders", draft.location()))?;
        if draft.change != Change::Update && !draft.asked().is_object() {
            return Err(bad("The property 'properties' is required."));
        }
        switch(draft, "publicNetworkAccess")?;
        switch(draft, "tpmAttestationAuthentication")?;
        let signers = draft.asked()[SIGNERS].clone();
        let Some(old) = draft.old else {
            let trust = if signers.is_null() {
                "AAD"
            } else {
                check_signers(&signers)?;
                "Isolated"
            };
            let uri = format!("https://{}.{short}.attest.azure.net", draft.id.name().to_ascii_lowercase());
            require_free(cx, draft, &uri)?;
            let properties = draft.properties();
            properties["trustModel"] = trust.into();
            properties["status"] = "Ready".into();
            properties["attestUri"] = uri.into();
            properties[SIGNERS] = signers;
            return Ok(());
        };
        // Who signs the policies decides who may change them, so it stays what it was.
        if !signers.is_null() && signers != old.body["properties"][SIGNERS] {
            return Err(Refusal::new(
                409,
                "Conflict",
                format!("The policy signing certificates of '{}' can't be changed after its creation.", old.name),
            ));
        }
        for name in ["trustModel", "status", "attestUri", SIGNERS] {
            draft.properties()[name] = old.body["properties"][name].clone();
        }
        Ok(())
    }

    fn shown(&self, _: &Cx<'_>, resource: &Resource) -> Result<Value, Refusal> {
        let mut body = resource.body.clone();
        if let Some(properties) = body["properties"].as_object_mut() {
            for name in UNKNOWN_TO_CONTRACT {
                properties.shift_remove(*name);
            }
        }
        Ok(body)
    }
}

/// Refuses a name whose host name somebody else has.
fn require_free(cx: &Cx<'_>, draft: &Draft<'_>, uri: &str) -> Result<(), Refusal> {
    let all = cx.resources(Filter { kind: Some(draft.id.kind().as_str()), ..Filter::default() })?;
    if all.iter().all(|other| other.body["properties"]["attestUri"] != json!(uri)) {
        return Ok(());
    }
    Err(Refusal::new(
        409,
        "Conflict",
        format!("The attestation provider name '{}' is already in use in this region.", draft.id.name()),
    ))
}
