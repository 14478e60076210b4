//! Policies: what must hold for a token to be issued, and what else it says. Each provider has those that Azure gives it.
//!
//! Source: <https://learn.microsoft.com/azure/attestation/author-sign-policy>.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;

use super::{authorize, invalid, issuer, own};
use crate::attestation::issuers;
use crate::cx::Cx;
use crate::http::Answer;
use crate::operation::Params;
use crate::refusal::Refusal;

/// The policies of the kinds of evidence: permit what was verified, and add nothing.
pub(super) const SEV_SNP_VM: &str = "version= 1.0;authorizationrules{=> permit();};issuancerules{};";
/// That of guests.
pub(super) const AZURE_GUEST: &str = SEV_SNP_VM;

/// How long the statement of a policy is valid, in seconds.
const LIFE: i64 = 60 * 60;

/// The policy of a kind of evidence.
fn policy(kind: &str) -> Result<&'static str, Refusal> {
    match kind {
        "SevSnpVm" => Ok(SEV_SNP_VM),
        "AzureGuest" => Ok(AZURE_GUEST),
        "SgxEnclave" | "OpenEnclave" | "Tpm" | "TdxVm" => {
            Err(invalid(format!("The attestation type '{kind}' is not supported.")).gap(format!("attestation: {kind}")))
        }
        _ => Err(invalid(format!("The attestation type '{kind}' is not valid."))),
    }
}

/// `Policy_Get`: the policy as an unsecured JWS (RFC 7515, appendix A.5) in a signed statement of the provider.
pub(super) fn get(cx: &mut Cx<'_>, params: &Params) -> Result<Answer, Refusal> {
    authorize(cx, false)?;
    let text = policy(params.get("attestationType"))?;
    let part = |document: serde_json::Value| URL_SAFE_NO_PAD.encode(document.to_string());
    let inner = json!({ "AttestationPolicy": URL_SAFE_NO_PAD.encode(text) });
    let policy = format!("{}.{}.", part(json!({ "alg": "none" })), part(inner));
    let (issuer, now) = (issuer(cx), cx.wall.timestamp());
    let statement = json!({
        "exp": now.saturating_add(LIFE),
        "iat": now,
        "iss": issuer,
        "nbf": now,
        "x-ms-policy": policy,
    });
    Ok(Answer::ok(&json!({ "token": issuers::sign(cx, &issuer, &statement)? })))
}

/// `Policy_Set`: policies of one's own are not evaluated here, so none is accepted.
pub(super) fn change(cx: &mut Cx<'_>, params: &Params) -> Result<Answer, Refusal> {
    refuse(cx, params.get("attestationType"))
}

/// `Policy_Reset`, at `/policies/{attestationType}:reset`: as there are none of one's own, there is nothing to go back from.
pub(super) fn reset(cx: &mut Cx<'_>, params: &Params) -> Result<Answer, Refusal> {
    let given = params.get("attestationType");
    match given.strip_suffix(":reset") {
        Some(kind) => refuse(cx, kind),
        None => Err(Refusal::new(404, "NotFound", format!("There is nothing to post to at '{}'.", cx.request.path))),
    }
}

fn refuse(cx: &mut Cx<'_>, kind: &str) -> Result<Answer, Refusal> {
    if own(cx)?.is_none() {
        let message = "The policies of a provider that a region shares can't be changed.";
        return Err(Refusal::new(403, "Forbidden", message));
    }
    authorize(cx, false)?;
    policy(kind)?;
    let refusal = Refusal::new(400, "PolicyNotSupported", "Policies other than the default are not supported.");
    Err(refusal.gap("attestation: policies of one's own"))
}
